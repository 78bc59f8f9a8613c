#include "worker/limiter.h"

#include <gtest/gtest.h>

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

const LaneId kLane{"m", 0};

Limiter Make(LimiterOptions options = {}) {
  return Limiter(options, milliseconds(1000), milliseconds(60'000), 1);
}

TEST(LimiterTest, RetryAfterIsHeldBetweenTheFloorAndAnHour) {
  Limiter limiter = Make();
  const milliseconds floor(60'000);
  EXPECT_EQ(limiter.Throttled(kLane, milliseconds(90'000), floor), milliseconds(90'000));
  EXPECT_EQ(limiter.Throttled(kLane, milliseconds(1'000), floor), floor);
  EXPECT_EQ(limiter.Throttled(kLane, milliseconds(400'000'000), floor), milliseconds(3'600'000));
  EXPECT_EQ(limiter.Throttled(kLane, std::nullopt, floor), floor);
}

TEST(LimiterTest, AnUpstreamThatTellsHowLongIsNotGuessedAt) {
  Limiter limiter = Make();
  for (int i = 0; i < 10; ++i) limiter.Throttled(kLane, milliseconds(2'000), milliseconds(0));
  EXPECT_EQ(limiter.Of(kLane).delay_ms, 0);
}

TEST(LimiterTest, TheDelayGrowsWithEachThrottlingAndDecaysWithSuccess) {
  Limiter limiter = Make({.initial_delay_ms = 200, .max_delay_ms = 1'000});
  EXPECT_EQ(limiter.Throttled(kLane, std::nullopt, milliseconds(0)), milliseconds(200));
  EXPECT_EQ(limiter.Throttled(kLane, std::nullopt, milliseconds(0)), milliseconds(500));
  EXPECT_EQ(limiter.Throttled(kLane, std::nullopt, milliseconds(0)), milliseconds(1'000))
      << "at most max_delay_ms";
  double before = limiter.Of(kLane).delay_ms;
  for (int i = 0; i < 600; ++i) {
    const double now = limiter.Succeeded(kLane, milliseconds(10)).delay_ms;
    EXPECT_LE(now, before);
    before = now;
  }
  EXPECT_EQ(before, 0);
}

TEST(LimiterTest, FailuresOfALaneAddUpOverItsTasks) {
  Limiter limiter = Make();
  milliseconds last(0);
  for (int i = 0; i < 6; ++i) last = limiter.Failed(kLane, 1);
  EXPECT_GE(last, milliseconds(16'000)) << "the sixth failure in a row, though each task's first";
  limiter.Succeeded(kLane, milliseconds(1));
  EXPECT_LE(limiter.Failed(kLane, 1), milliseconds(1'000));
}

TEST(LimiterTest, AQuotaIsPacedByTheLanesShare) {
  Limiter limiter = Make();
  const std::vector<QuotaRule> quota{{100, milliseconds(10'000)}};
  EXPECT_EQ(limiter.Charge(kLane, quota, 4, 1, milliseconds(1'000), milliseconds(1'050)), milliseconds(350));
  EXPECT_EQ(limiter.Charge(kLane, quota, 4, 2, milliseconds(1'000), milliseconds(1'050)), milliseconds(750));
  EXPECT_EQ(limiter.Charge(kLane, quota, 4, 1, milliseconds(1'000), milliseconds(9'000)), milliseconds(0));
}

TEST(LimiterTest, ALongQuotaIsCountedNotSpread) {
  Limiter limiter = Make();
  const milliseconds day(86'400'000);
  const std::vector<QuotaRule> quota{{10, day}};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(limiter.Charge(kLane, quota, 2, 1, milliseconds(0), milliseconds(i)), milliseconds(0));
  }
  EXPECT_EQ(limiter.Charge(kLane, quota, 2, 1, milliseconds(0), milliseconds(4)), day - milliseconds(4));
  EXPECT_EQ(limiter.Charge(kLane, quota, 2, 1, day, day), milliseconds(0)) << "a new day";
}

TEST(LimiterTest, ANewOwnerContinuesWhereTheOldOneWas) {
  Limiter limiter = Make();
  limiter.Start(kLane, 750);
  EXPECT_EQ(limiter.Of(kLane).delay_ms, 750);
}

}  // namespace
}  // namespace weir::worker
