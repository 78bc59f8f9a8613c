// A worker killed at each named moment of a page's way. The fault proxies see the moments on the wire; one
// that was never reached fails the test.
#include "common/kafka/producer.h"
#include "tests/faults/named_points.h"

namespace weir::faults {
namespace {

// The batch that ends its task, and one that does not.
constexpr char kLast[] = "state = 'done'";

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

}  // namespace
}  // namespace weir::faults
