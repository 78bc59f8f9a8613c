// HighLevel on Apache Kafka with three workers: the faults of a cluster, one after the other, on its cursors.
#include <fmt/core.h>
#include <signal.h>

#include <algorithm>

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
  std::int64_t job_ = 0;
};

TEST_F(ApacheKafkaHighLevelCluster, MessagesLostRepeatedAndSpoilt) {
  std::vector<kafka::OutgoingMessage> messages = EveryTask();
  std::shuffle(messages.begin(), messages.end(), Random());
  Send(messages);
  ASSERT_TRUE(AwaitMore());
  Send({{kafka::kTaskTopic, "a", "no task \xff", {}},
        {kafka::kTaskTopic, "b", "\x08\x63", {}}});  // version 99
  ASSERT_TRUE(AwaitMore());
  const auto emptied = kafka::testing::Empty(kafka_->Brokers(), TaskTopics());
  ASSERT_TRUE(emptied) << emptied.error().message;
  ASSERT_TRUE(AwaitMore());
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  ExpectSyncedWhole();
  EXPECT_LE(Number("select count(*) from weir.garbage"), 2);
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
  Control("settings", {{"latency_ms", 0}});
  const Outcome outcome = Weir(sync);
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(outcome.json.value("job", std::int64_t{0}), job_);
  EXPECT_EQ(outcome.Total("inserted"), kRecords);
  ExpectSyncedWhole();
}

}  // namespace
}  // namespace weir::faults
