#include "worker/limiter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

const LaneId kLane{"m", 0};
constexpr milliseconds kNow{5'000};

Limiter Make(LimiterOptions options = {}) {
  return Limiter(options, milliseconds(1000), milliseconds(60'000), 1);
}

TEST(LimiterTest, RetryAfterIsHeldBetweenTheFloorAndAnHour) {
  Limiter limiter = Make();
  const milliseconds floor(60'000);
  EXPECT_EQ(limiter.Throttled(kLane, milliseconds(90'000), floor, kNow), milliseconds(90'000));
  EXPECT_EQ(limiter.Throttled(kLane, milliseconds(1'000), floor, kNow), floor);
  EXPECT_EQ(limiter.Throttled(kLane, milliseconds(400'000'000), floor, kNow), milliseconds(3'600'000));
  EXPECT_EQ(limiter.Throttled(kLane, std::nullopt, floor, kNow), floor);
}

TEST(LimiterTest, AnUpstreamThatTellsHowLongIsNotGuessedAt) {
  Limiter limiter = Make();
  for (int i = 0; i < 10; ++i) limiter.Throttled(kLane, milliseconds(2'000), milliseconds(0), kNow);
  EXPECT_EQ(limiter.Of(kLane).delay_ms, 0);
}

TEST(LimiterTest, TheDelayGrowsWithEachThrottlingAndDecaysWithSuccess) {
  Limiter limiter = Make({.initial_delay_ms = 200, .max_delay_ms = 1'000});
  const auto at = [&](int ms) {
    return limiter.Throttled(kLane, std::nullopt, milliseconds(0), milliseconds(ms));
  };
  EXPECT_EQ(at(0), milliseconds(200));
  EXPECT_EQ(at(900), milliseconds(200)) << "the same window";
  EXPECT_EQ(at(1'000), milliseconds(500));
  EXPECT_EQ(at(2'000), milliseconds(1'000)) << "at most max_delay_ms";
  double before = limiter.Of(kLane).delay_ms;
  for (int i = 0; i < 600; ++i) {
    const double now = limiter.Answered(kLane).delay_ms;
    EXPECT_LE(now, before);
    before = now;
  }
  EXPECT_EQ(before, 0);
}

// After a storm the lane is soon where it was when the storm began, and gropes on from there.
TEST(LimiterTest, AfterAStormTheDelayIsSoonNearWhatItWas) {
  Limiter limiter = Make({.initial_delay_ms = 200, .max_delay_ms = 10'000});
  milliseconds now(0);
  const auto refused = [&](int times) {
    for (int i = 0; i < times; ++i, now += milliseconds(2'000))
      limiter.Throttled(kLane, std::nullopt, milliseconds(0), now);
  };
  refused(1);
  while (limiter.Answered(kLane).delay_ms > 50) continue;
  refused(8);
  EXPECT_EQ(limiter.Of(kLane).delay_ms, 10'000);
  for (int i = 0; i < 25; ++i) limiter.Answered(kLane);
  const double near = limiter.Of(kLane).delay_ms;
  EXPECT_LE(near, 100) << "twice what it was";
  EXPECT_GT(limiter.Answered(kLane).delay_ms, 0.97 * near) << "slowly from there";
}

TEST(LimiterTest, FailuresOfALaneAddUpOverItsTasks) {
  Limiter limiter = Make();
  milliseconds last(0);
  for (int i = 0; i < 6; ++i) last = limiter.Failed(kLane, 1, std::nullopt);
  EXPECT_GE(last, milliseconds(16'000)) << "the sixth failure in a row, though each task's first";
  limiter.Answered(kLane);
  EXPECT_LE(limiter.Failed(kLane, 1, std::nullopt), milliseconds(1'000));
}

TEST(LimiterTest, AFailureWaitsAsLongAsTheUpstreamAsks) {
  Limiter limiter = Make();
  EXPECT_EQ(limiter.Failed(kLane, 1, milliseconds(120'000)), milliseconds(120'000));
  EXPECT_EQ(limiter.Failed(kLane, 1, milliseconds(400'000'000)), milliseconds(3'600'000));
}

// Lanes of one meter, each in a worker of its own and with its own latency, for ten minutes: never more
// requests in any window than the quota, and nearly as many.
void ExpectPaced(const QuotaRule& rule, int lanes) {
  std::vector<std::int64_t> sent;
  std::mt19937 random(7);
  const std::int64_t end = 600'000;
  for (int lane = 0; lane < lanes; ++lane) {
    const LaneId id{"m", lane};
    // Each worker's clock counts from its own start.
    const std::int64_t boot = static_cast<std::int64_t>(random() % 100'000);
    Limiter limiter({}, milliseconds(1'000), milliseconds(60'000), 1, milliseconds(-boot));
    for (std::int64_t now = 0; now < end;) {
      const auto turn = limiter.Ask(id, {rule}, lanes, milliseconds(boot + now));
      if (turn.wait > milliseconds(0)) {
        now += turn.wait.count();
        continue;
      }
      sent.push_back(now + static_cast<std::int64_t>(random() % 4));
      const std::int64_t answered = now + 20 + static_cast<std::int64_t>(random() % 60);
      const auto wait =
          limiter.Charge(id, {rule}, lanes, 1, milliseconds(boot + now), milliseconds(boot + answered));
      now = answered + std::max<std::int64_t>(0, wait.count()) + static_cast<std::int64_t>(random() % 5);
    }
  }
  std::sort(sent.begin(), sent.end());
  std::size_t from = 0;
  std::int64_t most = 0;
  for (std::size_t to = 0; to < sent.size(); ++to) {
    while (sent[from] <= sent[to] - rule.per.count()) ++from;
    most = std::max(most, static_cast<std::int64_t>(to - from + 1));
  }
  EXPECT_LE(most, rule.requests);
  const double possible = static_cast<double>(rule.requests * end) / static_cast<double>(rule.per.count());
  EXPECT_GE(static_cast<double>(sent.size()), 0.97 * possible);
}

TEST(LimiterTest, AQuotaIsNeverOverrunAndHardlyUnderrun) {
  ExpectPaced({100, milliseconds(10'000)}, 4);
  ExpectPaced({100, milliseconds(10'000)}, 16);
  ExpectPaced({2, milliseconds(1'000)}, 1);
  ExpectPaced({8, milliseconds(1'000)}, 4);
}

TEST(LimiterTest, TheSlowestOfSeveralPacesRules) {
  Limiter limiter = Make();
  const std::vector<QuotaRule> quota{{100, milliseconds(10'000)}, {60, milliseconds(60'000)}};
  milliseconds now = limiter.Ask(kLane, quota, 1, milliseconds(0)).wait;
  EXPECT_EQ(limiter.Ask(kLane, quota, 1, now).wait, milliseconds(0));
  const auto wait = limiter.Charge(kLane, quota, 1, 1, now, now + milliseconds(50));
  EXPECT_EQ(wait, milliseconds(952)) << "60 in 60.1 s";
  EXPECT_GT(limiter.Ask(kLane, quota, 1, now + milliseconds(60)).wait, milliseconds(0))
      << "this slot is used";
  EXPECT_EQ(limiter.Charge(kLane, quota, 1, 3, now, now + milliseconds(50)), milliseconds(3 * 1'002 - 50));
}

TEST(LimiterTest, ALongQuotaIsCountedNotSpread) {
  Limiter limiter = Make();
  const milliseconds day(86'400'000);
  const std::vector<QuotaRule> quota{{11, day}};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(limiter.Charge(kLane, quota, 2, 1, milliseconds(0), milliseconds(i)), milliseconds(0));
  }
  EXPECT_EQ(limiter.Charge(kLane, quota, 2, 1, milliseconds(0), milliseconds(5)), day - milliseconds(5));
  EXPECT_EQ(limiter.Ask(kLane, quota, 2, milliseconds(6)).wait, day - milliseconds(6));
  const LaneId other{"m", 1};
  for (int i = 0; i < 4; ++i) limiter.Charge(other, quota, 2, 1, milliseconds(0), milliseconds(i));
  EXPECT_GT(limiter.Charge(other, quota, 2, 1, milliseconds(0), milliseconds(5)), milliseconds(0))
      << "6 + 5 = 11";
  EXPECT_EQ(limiter.Ask(kLane, quota, 2, day).wait, milliseconds(0)) << "a new day";
  EXPECT_EQ(limiter.Charge(kLane, quota, 2, 1, day, day), milliseconds(0));
}

// A lane that moves between workers, cleanly or by a death: over all of them never more than its share.
TEST(LimiterTest, ADaysCountGoesWithTheLane) {
  const milliseconds day(86'400'000);
  const std::vector<QuotaRule> quota{{20, day}};
  ledger::LaneState kept{.held = true, .lease_epoch = 1};
  std::mt19937 random(3);
  std::int64_t sent = 0, deaths = 0, now = 0;
  for (std::int64_t epoch = 1; epoch < 40; ++epoch) {
    Limiter worker = Make();
    kept.lease_epoch = epoch;
    worker.Start(kLane, kept, milliseconds(now));
    bool died = false;
    for (int i = 0; i < 2; ++i) {
      const auto turn = worker.Ask(kLane, quota, 1, milliseconds(now));
      if (turn.wait > milliseconds(0)) break;
      if (turn.save) kept.memory = worker.Memory(kLane, milliseconds(now), false).memory;
      ++sent;
      died = random() % 4 == 0;  // with the request in flight: nothing more is written
      if (died) break;
      worker.Charge(kLane, quota, 1, 1, milliseconds(now), milliseconds(now));
    }
    deaths += died ? 1 : 0;
    if (!died) kept.memory = worker.Memory(kLane, milliseconds(now), true).memory;
    now += 10;
    for (auto& window : kept.memory.windows) window.age += milliseconds(10);
  }
  EXPECT_LE(sent, 20);
  EXPECT_GE(sent, 20 - deaths) << "a death forgoes one at most";
  EXPECT_GT(deaths, 0);
}

TEST(LimiterTest, ASlowPaceIsWrittenDownBeforeItIsNeeded) {
  Limiter limiter = Make();
  const auto fast = limiter.Ask(kLane, {{100, milliseconds(10'000)}}, 4, milliseconds(0));
  EXPECT_FALSE(fast.save);
  const auto slow = limiter.Ask(kLane, {{1, milliseconds(60'000)}}, 1, milliseconds(0));
  EXPECT_TRUE(slow.save);
  EXPECT_GE(slow.ahead, milliseconds(60'000));
}

TEST(LimiterTest, ANewOwnerContinuesWhereTheOldOneWas) {
  Limiter limiter = Make();
  ledger::LaneState state{.held = true, .lease_epoch = 4};
  state.memory.delay_ms = 750;
  limiter.Start(kLane, state, milliseconds(0));
  EXPECT_EQ(limiter.Of(kLane).delay_ms, 750);
  limiter.Answered(kLane);
  limiter.Start(kLane, state, milliseconds(0));
  EXPECT_EQ(limiter.Of(kLane).delay_ms, 735) << "nobody else had it: what is known here is newer";
  state.lease_epoch = 6;
  limiter.Start(kLane, state, milliseconds(0));
  EXPECT_EQ(limiter.Of(kLane).delay_ms, 750);
}

TEST(LimiterTest, WhatWasLearntIsKept) {
  Limiter limiter = Make();
  limiter.Throttled(kLane, std::nullopt, milliseconds(0), kNow);
  limiter.Answered(kLane);
  limiter.Hold(kLane, milliseconds(5'000), "throttled");
  auto kept = limiter.Memory(kLane, milliseconds(2'000), false);
  EXPECT_EQ(kept.memory.successes, 1);
  EXPECT_EQ(kept.memory.throttles, 1);
  EXPECT_EQ(kept.wait, milliseconds(3'000));
  EXPECT_EQ(kept.waiting_for, "throttled");
  EXPECT_EQ(limiter.Memory(kLane, milliseconds(2'000), false).memory.successes, 0) << "counted once";
}

TEST(LimiterTest, WhatHeadersTellSpreadsTheRestOfAWindow) {
  Limiter limiter = Make();
  const auto told = [&](std::int64_t remaining, milliseconds reset, int lanes) {
    return limiter.Told(kLane, {{100, remaining, reset, std::nullopt}}, lanes, milliseconds(0));
  };
  EXPECT_EQ(told(99, milliseconds(10'000), 1), milliseconds(0)) << "plenty is left";
  EXPECT_EQ(told(50, milliseconds(5'000), 1), milliseconds(100));
  EXPECT_EQ(told(50, milliseconds(5'000), 4), milliseconds(400));
  EXPECT_EQ(told(0, milliseconds(5'000), 1), milliseconds(5'000));
  EXPECT_EQ(told(1, milliseconds(5'000), 4), milliseconds(5'000)) << "never beyond the window";
  EXPECT_EQ(told(0, std::chrono::days(300), 1), milliseconds(3'600'000)) << "asks again after an hour";
}

TEST(LimiterTest, ADaysRestIsNotSpread) {
  Limiter limiter = Make();
  const RateWindow day{200'000, 3, std::nullopt, std::chrono::days(1)};
  EXPECT_EQ(limiter.Told({"m", 2}, {day}, 4, milliseconds(0)), milliseconds(0));
  EXPECT_EQ(limiter.Told({"m", 3}, {day}, 4, milliseconds(0)), milliseconds(3'600'000))
      << "three for four lanes";
}

// HighLevel tells no reset: when a window began is seen by what remains.
TEST(LimiterTest, AWindowWithoutAResetIsTimedByWhatRemains) {
  Limiter limiter = Make();
  const auto told = [&](std::int64_t remaining, int now) {
    return limiter.Told(kLane, {{100, remaining, std::nullopt, milliseconds(10'000)}}, 1, milliseconds(now));
  };
  EXPECT_EQ(told(20, 0), milliseconds(500)) << "as if it had begun now";
  EXPECT_EQ(told(99, 3'000), milliseconds(0)) << "it has";
  EXPECT_EQ(told(0, 8'000), milliseconds(5'000));
  EXPECT_EQ(told(0, 14'000), milliseconds(10'000)) << "another";
}

// Who tells how many are left, and until when, leaves nothing to guess; a day's rest, or no time, does not.
TEST(LimiterTest, WhatHeadersTellOverridesTheGuess) {
  Limiter limiter = Make();
  limiter.Throttled(kLane, std::nullopt, milliseconds(0), kNow);
  const double guess = limiter.Answered(kLane).delay_ms;
  ASSERT_GT(guess, 0);
  const auto with = [&](std::optional<milliseconds> reset, std::optional<milliseconds> window) {
    return limiter.Answered(kLane, {{100, 60, reset, window}}).delay_ms;
  };
  EXPECT_EQ(with(milliseconds(5'000), std::nullopt), 0);
  EXPECT_EQ(with(std::nullopt, milliseconds(10'000)), 0);
  EXPECT_GT(with(std::nullopt, std::nullopt), 0);
  EXPECT_GT(with(milliseconds(50'000'000), milliseconds(86'400'000)), 0);
  EXPECT_GT(limiter.Answered(kLane).delay_ms, 0) << "the guess is kept for when nothing is told";
}

TEST(LimiterTest, NoTimeToldIsNoWait) {
  Limiter limiter = Make();
  EXPECT_EQ(limiter.Told(kLane, {{100, 0, std::nullopt, std::nullopt}}, 1, milliseconds(0)), milliseconds(0));
  EXPECT_EQ(limiter.Told(kLane, {}, 1, milliseconds(0)), milliseconds(0));
}

}  // namespace
}  // namespace weir::worker
