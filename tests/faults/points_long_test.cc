// A worker killed at the named moments of a page's failure, of a rebalance and of its leaving.
#include <signal.h>

#include "common/kafka/producer.h"
#include "tests/faults/named_points.h"

namespace weir::faults {
namespace {

// Pages that fail: parked, or given up. Their letters are the leader's: letters_test.cc.
TEST_F(ApacheKafkaNamedPoints, OfAFailure) {
  Faults(Json::array({{{"regex", "/games/20"}, {"action", "status"}, {"status", 400}, {"every", 9}},
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
