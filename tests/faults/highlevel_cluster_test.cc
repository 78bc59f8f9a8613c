// HighLevel on Apache Kafka with three workers: the faults of a cluster, one after the other, on its cursors.
#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <set>

#include "tests/faults/highlevel_pool.h"

namespace weir::faults {
namespace {

constexpr std::int64_t kRecords = 6'000;

class ApacheKafkaHighLevelCluster : public HighLevelPool {
 protected:
  void SetUp() override {
    HighLevelPool::SetUp();
    Configure({kNorth});
    Location(kNorth, {{"add", kRecords}});
    Control("settings", {{"latency_ms", 150}});
    StartCluster();
    job_ = Ask(kNorth);
    ASSERT_TRUE(AwaitMore());
  }
  // The sync gets on: a few pages more.
  bool AwaitMore() const { return AwaitFetched(Fetched() + 300); }
  void Send(const std::vector<kafka::OutgoingMessage>& messages) const {
    auto producer = kafka::Producer::Create(
        {.brokers = kafka_->Brokers(), .properties = {}, .client_id = "t", .log = {}});
    ASSERT_TRUE(producer);
    const auto sent = (*producer)->Send(messages, std::chrono::seconds(20));
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_EQ(*sent, std::vector<bool>(messages.size(), true));
  }
  void ExpectSyncedWhole() {
    EXPECT_EQ(StateOf(job_), "succeeded");
    EXPECT_EQ(Number("select count(*) from weir.tasks where state <> 'done'"), 0);
    ExpectCopy("highlevel", kNorth);
    EXPECT_EQ(Number("select sum(inserted) from weir.tasks"), kRecords);
    ExpectCountersAddUp();
    ExpectLagGone();
  }
  // Nobody who read a page died, so that each was asked for once.
  void ExpectNoPageTwice() {
    std::set<std::string> pages;
    for (const auto& exchange : upstream_.world().traffic.Log()) {
      const bool page = exchange.target.find("limit=100") != std::string::npos && exchange.status == 200;
      EXPECT_TRUE(!page || pages.insert(exchange.target).second) << exchange.target;
    }
    EXPECT_GE(pages.size(), static_cast<std::size_t>(kRecords / 100));
  }
  std::int64_t job_ = 0;
};

TEST_F(ApacheKafkaHighLevelCluster, MessagesLostRepeatedAndSpoilt) {
  std::vector<kafka::OutgoingMessage> messages = EveryTask();
  std::shuffle(messages.begin(), messages.end(), Random());
  Send(messages);
  ASSERT_TRUE(AwaitMore());
  Send({{kafka::kTaskTopic, "a", "no task \xff", {}},
        {kafka::kTaskTopic, "b", "\x08\x63", {}}});  // version 99
  ASSERT_TRUE(Await("count(*) = 2 from weir.garbage"));
  const auto emptied = kafka::testing::Empty(kafka_->Brokers(), TaskTopics());
  ASSERT_TRUE(emptied) << emptied.error().message;
  ASSERT_TRUE(AwaitMore());
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  ExpectSyncedWhole();
  ExpectNoPageTwice();
  EXPECT_EQ(Number("select count(*) from weir.garbage"), 2);
}

TEST_F(ApacheKafkaHighLevelCluster, ProgramsAndTheirDatabaseGoAndComeBack) {
  database_net_->ResetAll();
  ASSERT_TRUE(AwaitMore());
  // Drained: it spends no attempt, and others go on.
  Member& leaving = *members_.front();
  leaving.process->Signal(SIGTERM);
  ASSERT_TRUE(leaving.process->Wait(kPatience));
  Forget(leaving);
  StartWorker();
  ASSERT_TRUE(AwaitMore());
  Member& killed = *members_.front();
  Kill(killed);
  Forget(killed);
  StartWorker();
  ASSERT_TRUE(AwaitMore());
  producer_->Kill();
  ASSERT_TRUE(producer_->Wait(kPatience));
  StartProducer();
  // As a restart does it: whoever is connected is thrown out, and finds nobody for a while.
  database_net_->Refuse(true);
  database_net_->ResetAll();
  // One that never lost it before has noticed.
  ASSERT_TRUE(members_.back()->process->WaitForErr("could not be renewed", kPatience));
  database_net_->Refuse(false);
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  ExpectSyncedWhole();
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
}

// The job is the cluster's: who waits for it may be killed, or leave, and come again.
TEST_F(ApacheKafkaHighLevelCluster, WhoWaitsForItIsKilledLeavesAndComesAgain) {
  const Strings sync{"sync", kStream, "--account", kNorth, "--mode", "full", "-o", "json"};
  auto killed = Launch(Options("weir", sync));
  ASSERT_TRUE(killed->WaitForErr("retrieved", kPatience)) << killed->Err();
  killed->Kill();
  ASSERT_TRUE(killed->Wait(kPatience));
  ASSERT_TRUE(AwaitMore());
  auto leaving = Launch(Options("weir", sync));
  ASSERT_TRUE(leaving->WaitForErr("retrieved", kPatience)) << leaving->Err();
  leaving->Signal(SIGINT);
  EXPECT_EQ(Finish(*leaving).Status(), 130);
  ASSERT_TRUE(AwaitMore());
  auto ended = Launch(Options("weir", sync));
  ASSERT_TRUE(ended->WaitForErr("retrieved", kPatience)) << ended->Err();
  ended->Signal(SIGTERM);
  EXPECT_EQ(Finish(*ended).Status(), 143);
  ASSERT_TRUE(AwaitMore());
  Control("settings", {{"latency_ms", 0}});
  const Outcome outcome = Weir(sync);
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(outcome.json.value("job", std::int64_t{0}), job_);
  EXPECT_EQ(outcome.Total("inserted"), kRecords);
  ExpectSyncedWhole();
  ExpectNoPageTwice();
}

// The sweep rests on what was met, whoever met it and however often it was cut short.
TEST_F(ApacheKafkaHighLevelCluster, WhatIsGoneIsMarkedAndNoMoreThanThat) {
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  ExpectSyncedWhole();
  Location(kNorth, {{"remove", 60}});
  Control("settings", {{"latency_ms", 150}});
  const std::int64_t again = Ask(kNorth);
  ASSERT_TRUE(AwaitMore());
  Member& killed = *members_.front();
  Kill(killed);
  Forget(killed);
  StartWorker();
  database_net_->ResetAll();
  ASSERT_TRUE(AwaitMore());
  producer_->Kill();
  ASSERT_TRUE(producer_->Wait(kPatience));
  StartProducer();
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(StateOf(again), "succeeded");
  EXPECT_EQ(
      Text("select sweep || ' ' || stale from weir.job_accounts where job_id = " + std::to_string(again)),
      "marked 60");
  ExpectCopy("highlevel", kNorth);
  EXPECT_EQ(Number("select count(*) from highlevel.opportunities where stale_at is not null"), 60);
}

// While it is read the upstream begins to lie about how many there are: fewer, none, more.
TEST_F(ApacheKafkaHighLevelCluster, ATotalThatLiesInTheMiddle) {
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  Location(kNorth, {{"remove", 5}});
  for (const Json& lie : {Json{{"total_off", -900}}, Json{{"total_is", 0}}, Json{{"total_off", 900}}}) {
    Control("settings", {{"latency_ms", 150}});
    const std::int64_t job = Ask(kNorth);
    ASSERT_TRUE(AwaitMore());
    Location(kNorth, lie);
    Control("settings", {{"latency_ms", 0}});
    ASSERT_TRUE(AwaitEnded());
    // Who tells of more than came may be hiding some, and has no sweep at all.
    const bool more = lie.value("total_off", 0) > 0;
    EXPECT_EQ(StateOf(job), more ? "partial" : "succeeded") << lie;
    const std::string sweep =
        Text("select coalesce(sweep, 'none') || ' ' || stale from weir.job_accounts where job_id = " +
             std::to_string(job));
    EXPECT_EQ(sweep, more ? "none 0" : "refused 0") << lie;
    Location(kNorth, {{"total_off", 0}, {"total_is", -1}});
  }
  // Told the truth, it marks the five.
  const std::int64_t last = Ask(kNorth);
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(
      Text("select sweep || ' ' || stale from weir.job_accounts where job_id = " + std::to_string(last)),
      "marked 5");
  ExpectCopy("highlevel", kNorth);
}

}  // namespace
}  // namespace weir::faults
