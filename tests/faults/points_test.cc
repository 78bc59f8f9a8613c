// A worker killed at each named moment of a page's way. The fault proxies see the moments on the wire; one
// that was never reached fails the test.
#include <fmt/core.h>
#include <signal.h>

#include <functional>

#include "common/kafka/producer.h"
#include "tests/faults/fault_fixture.h"

namespace weir::faults {
namespace {

enum class Wire { kDatabase, kKafka };

struct Point {
  const char* name;
  Wire wire;
  StopPoint at;
};

// The batch that ends its task, and one that does not.
constexpr char kLast[] = "state = 'done'";

class ApacheKafkaNamedPoints : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    env_["WEIR_LANES_LEASE"] = "2s";
    Control("settings", {{"latency_ms", 20}});
    StartProducer();
  }
  proxy::FaultProxy& Proxy(Wire wire) {
    return wire == Wire::kDatabase ? *victim_net_ : kafka_->Proxy("VICTIM");
  }
  void Feed() {
    const int n = ++fed_;
    Make({"chesscom", fmt::format("hikaru{}", n), 3'000});
    Enqueue("chesscom", {fmt::format("hikaru{}", n)});
  }
  // A new victim is killed at the point; `meanwhile` brings it there.
  void Reach(const Point& point, const std::function<void(Member&)>& meanwhile = {}) {
    SCOPED_TRACE(point.name);
    if (OpenTasks() < 60) Feed();
    Proxy(point.wire).StopAt(point.at);
    Member& victim = StartWorker(true);
    if (meanwhile) meanwhile(victim);
    EXPECT_TRUE(Proxy(point.wire).WaitForStop(Millis(40'000))) << "never reached: " << victim.process->Err();
    Kill(victim);
    Forget(victim);
    Heal();
  }
  // A page whose worker died three times in a row is dead, and rightly: it may be the reason. So that these
  // deaths stay apart, a worker that nobody kills reads what a victim left twice.
  void Heal() {
    const std::string suspects = "count(*) = 0 from weir.tasks where finished_at is null and crashes > 0";
    if (Text("select " + suspects) == "t") return;
    Member& healer = StartWorker();
    ASSERT_TRUE(Await(suspects));
    healer.process->Signal(SIGTERM);
    ASSERT_TRUE(healer.process->Wait(kPatience));
    Forget(healer);
  }
  void Finish() {
    StartWorkers(3);
    ASSERT_TRUE(AwaitEnded());
  }
  Strings Jobs() const {
    pg::Session session(postgres_->Options());
    const auto rows = session.Exec("select id from weir.jobs where state <> 'succeeded' order by id");
    EXPECT_TRUE(rows);
    Strings jobs;
    for (int i = 0; rows && i < rows->Size(); ++i) jobs.emplace_back(rows->Text(i, 0));
    return jobs;
  }
  int fed_ = 0;
};

TEST_F(ApacheKafkaNamedPoints, OfAPage) {
  for (const Point& point : {
           Point{"before the lane's lease", Wire::kDatabase, {.what = "lane_acquire"}},
           Point{"after the lane's lease", Wire::kDatabase, {.what = "lane_acquire", .reply = true}},
           Point{"before the claim", Wire::kDatabase, {.what = "task_claim", .nth = 2}},
           Point{"after the claim", Wire::kDatabase, {.what = "task_claim", .reply = true, .nth = 3}},
           Point{"before the plan is written", Wire::kDatabase, {.what = "copy weir.tasks"}},
           Point{"in a COPY, before its first row", Wire::kDatabase, {.what = "d begin;", .nth = 4}},
           Point{"before a batch's commit", Wire::kDatabase, {.what = "c begin;", .without = kLast}},
           Point{"mid-page, after a batch's commit",
                 Wire::kDatabase,
                 {.what = "c begin;", .without = kLast, .reply = true, .nth = 2}},
           Point{"before the page's last commit", Wire::kDatabase, {.what = kLast, .nth = 5}},
           Point{"after the page's last commit, before its offset",
                 Wire::kDatabase,
                 {.what = std::string("c begin; update weir.tasks"), .reply = true, .nth = 4}},
           Point{"before the offset is committed", Wire::kKafka, {.what = "api 8 "}},
           Point{"after the offset was committed", Wire::kKafka, {.what = "api 8 ", .reply = true}},
       }) {
    Reach(point);
  }
  Finish();
  ExpectWhole();
  ExpectNothingReadTwice();
}

// Pages that fail: parked, or given up. Their letters are the leader's: letters_test.cc.
TEST_F(ApacheKafkaNamedPoints, OfAFailure) {
  Faults(Json::array({{{"regex", "/games/20"}, {"action", "html"}, {"every", 9}},
                      {{"regex", "/games/20"}, {"action", "status"}, {"status", 503}, {"every", 4}}}));
  for (const Point& point : {
           Point{"before a page is parked", Wire::kDatabase, {.what = "task_park"}},
           Point{"after a page was parked", Wire::kDatabase, {.what = "task_park", .reply = true}},
           Point{"before a page is dead", Wire::kDatabase, {.what = "task_kill"}},
           Point{"after a page was dead, before its letter",
                 Wire::kDatabase,
                 {.what = "task_kill", .reply = true}},
       }) {
    Reach(point);
  }
  Faults(Json::array());
  StartWorkers(3);
  ASSERT_TRUE(AwaitEnded());
  // A letter for each dead page, however often it was begun; then they are tried again, and all is there.
  const std::int64_t dead = Number("select count(*) from weir.tasks where state = 'dead'");
  EXPECT_GT(dead, 0);
  const auto letters = kafka::testing::Held(kafka_->Brokers(), {{kafka::kDeadLetterTopic, 1}});
  ASSERT_TRUE(letters);
  EXPECT_GE(*letters, dead);
  for (const std::string& job : Jobs()) EXPECT_EQ(Weir({"replay", job, "--all"}).Status(), 0);
  ASSERT_TRUE(AwaitEnded());
  ExpectWhole();
}

// A worker that must give its partitions back, and one that leaves in order.
TEST_F(ApacheKafkaNamedPoints, OfARebalance) {
  const auto joined = [](Member& victim) {
    EXPECT_TRUE(victim.process->WaitForErr("partitions assigned", kPatience)) << victim.process->Err();
  };
  Point revoke{"at revoke, before it joins again", Wire::kKafka, {.what = "api 11 "}};
  const StopPoint at = revoke.at;
  revoke.at = {.what = "never"};
  for (const bool reply : {false, true}) {
    Reach(revoke, [&](Member& victim) {
      joined(victim);
      StopPoint again = at;
      again.reply = reply;
      kafka_->Proxy("VICTIM").StopAt(again);
      StartWorker();
    });
  }
  Reach({"when it leaves the group", Wire::kKafka, {.what = "api 13 "}}, [&](Member& victim) {
    joined(victim);
    victim.process->Signal(SIGTERM);
  });
  Reach({"when it gives its lanes back",
         Wire::kDatabase,
         {.what = "set holder = null, lease_until = null where holder"}},
        [&](Member& victim) {
          joined(victim);
          victim.process->Signal(SIGTERM);
        });
  Finish();
  ExpectWhole();
}

}  // namespace
}  // namespace weir::faults
