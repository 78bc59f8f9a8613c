// A worker killed at each named moment of a page's way. The fault proxies see the moments on the wire; one
// that was never reached fails the test.
#include "tests/faults/named_points.h"

namespace weir::faults {
namespace {

// Of the batch that ends its task.
constexpr char kLast[] = "notify weir_dispatch;";
constexpr char kPlan[] = "copy weir.tasks";

TEST_F(ApacheKafkaNamedPoints, OfAPage) {
  for (const Point& point : {
           Point{"before the lane's lease", Wire::kDatabase, {.what = "lane_acquire"}},
           Point{"after the lane's lease", Wire::kDatabase, {.what = "lane_acquire", .reply = true}},
           Point{"before the claim", Wire::kDatabase, {.what = "task_claim", .nth = 2}},
           Point{"after the claim", Wire::kDatabase, {.what = "task_claim", .reply = true, .nth = 3}},
           Point{"before the plan is written", Wire::kDatabase, {.what = kPlan}},
           Point{"in a COPY, before its first row", Wire::kDatabase, {.what = "d begin;", .nth = 4}},
           Point{"before a batch's commit", Wire::kDatabase, {.what = "c begin;", .without = kLast}},
           Point{"mid-page, after a batch's commit",
                 Wire::kDatabase,
                 {.what = "c begin;", .without = kLast, .reply = true, .nth = 2}},
           Point{"before the page's last commit", Wire::kDatabase, {.what = kLast, .nth = 5}},
           Point{"after the page's last commit, before its offset",
                 Wire::kDatabase,
                 {.what = std::string("c begin; execute weir_fence"), .reply = true, .nth = 4}},
           Point{"before the offset is committed", Wire::kKafka, {.what = "api 8 "}},
           Point{"after the offset was committed", Wire::kKafka, {.what = "api 8 ", .reply = true}},
       }) {
    // However many pages there are, a fast worker reads them and meets no other plan.
    if (point.at.what == kPlan) Feed();
    Reach(point);
  }
  Finish();
  ExpectWhole();
  ExpectNothingReadTwice();
}

}  // namespace
}  // namespace weir::faults
