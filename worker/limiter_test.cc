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

const std::vector<QuotaRule> kNoRules;
const Limiter::Quota kNoQuota{kNoRules, 1};

Limiter::Millis Refuse(Limiter& limiter, std::optional<milliseconds> asked, milliseconds floor, int at) {
  return limiter.Throttled(kLane, kNoQuota, asked, floor, milliseconds(at), milliseconds(at));
}

TEST(LimiterTest, RetryAfterIsKeptBetweenTheFloorAndAnHour) {
  Limiter limiter = Make();
  const milliseconds floor(60'000);
  EXPECT_EQ(Refuse(limiter, milliseconds(90'000), floor, 0), milliseconds(90'000));
  EXPECT_EQ(Refuse(limiter, milliseconds(1'000), floor, 0), floor);
  EXPECT_EQ(Refuse(limiter, milliseconds(400'000'000), floor, 0), milliseconds(3'600'000));
  EXPECT_EQ(Refuse(limiter, std::nullopt, floor, 0), floor);
}

TEST(LimiterTest, ALaneThatIsRefusedAgainAndAgainWaitsLonger) {
  Limiter limiter = Make({.initial_delay_ms = 200, .max_delay_ms = 1'000});
  const auto at = [&](int ms) { return Refuse(limiter, std::nullopt, milliseconds(0), ms); };
  EXPECT_EQ(at(0), milliseconds(200));
  EXPECT_EQ(at(900), milliseconds(200)) << "the same window";
  EXPECT_EQ(at(1'000), milliseconds(500));
  EXPECT_EQ(at(2'000), milliseconds(1'000)) << "at most max_delay_ms";
  limiter.OnSuccess(kLane, kNoQuota, milliseconds(3'000), milliseconds(3'010));
  EXPECT_LT(at(4'000), milliseconds(1'000)) << "from the start again";
}

// Four went well, then none until the fourth second: one a second is what the upstream grants.
TEST(LimiterTest, WhatWentWellUntilARefusalEndedIsThePace) {
  Limiter limiter = Make();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(limiter.OnSuccess(kLane, kNoQuota, milliseconds(10 * i), milliseconds(10 * i + 5)),
              milliseconds(0));
  }
  Refuse(limiter, std::nullopt, milliseconds(0), 40);
  Refuse(limiter, std::nullopt, milliseconds(0), 3'980);
  const auto wait = limiter.OnSuccess(kLane, kNoQuota, milliseconds(4'000), milliseconds(4'000));
  EXPECT_GE(wait, milliseconds(950));
  EXPECT_LE(wait, milliseconds(1'000));
  EXPECT_NEAR(limiter.Of(kLane).delay_ms, 975, 25);
}

TEST(LimiterTest, FailuresOfALaneAddUpOverItsTasks) {
  Limiter limiter = Make();
  milliseconds last(0);
  for (int i = 0; i < 6; ++i) last = limiter.Failed(kLane, 1, std::nullopt);
  EXPECT_GE(last, milliseconds(16'000)) << "the sixth failure in a row, though each task's first";
  limiter.OnSuccess(kLane, kNoQuota, kNow, kNow);
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
  const std::vector<QuotaRule> rules{rule};
  const Limiter::Quota quota{rules, lanes};
  for (int lane = 0; lane < lanes; ++lane) {
    const LaneId id{"m", lane};
    // Each worker's clock counts from its own start.
    const std::int64_t boot = static_cast<std::int64_t>(random() % 100'000);
    Limiter limiter({}, milliseconds(1'000), milliseconds(60'000), 1, milliseconds(-boot));
    for (std::int64_t now = 0; now < end;) {
      const auto turn = limiter.Ask(id, quota, milliseconds(boot + now));
      if (turn.wait > milliseconds(0)) {
        now += turn.wait.count();
        continue;
      }
      sent.push_back(now + static_cast<std::int64_t>(random() % 4));
      const std::int64_t answered = now + 20 + static_cast<std::int64_t>(random() % 60);
      const auto wait =
          limiter.RecordSent(id, quota, 1, milliseconds(boot + now), milliseconds(boot + answered));
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

TEST(LimiterTest, AFastQuotaIsNotRoundedToWholeMilliseconds) {
  ExpectPaced({6'000, milliseconds(10'000)}, 64);
  ExpectPaced({70, milliseconds(1'000)}, 5);
}

TEST(LimiterTest, TheSlowestOfSeveralRulesPaces) {
  Limiter limiter = Make();
  const std::vector<QuotaRule> rules{{100, milliseconds(10'000)}, {60, milliseconds(60'000)}};
  const Limiter::Quota quota{rules, 1};
  milliseconds now = limiter.Ask(kLane, quota, milliseconds(0)).wait;
  EXPECT_EQ(limiter.Ask(kLane, quota, now).wait, milliseconds(0));
  const auto wait = limiter.RecordSent(kLane, quota, 1, now, now + milliseconds(50));
  EXPECT_NEAR(static_cast<double>(wait.count()), 967, 1) << "60 in 61 s";
  EXPECT_GT(limiter.Ask(kLane, quota, now + milliseconds(60)).wait, milliseconds(0)) << "this slot is used";
  now += milliseconds(1'017);
  EXPECT_NEAR(static_cast<double>(limiter.RecordSent(kLane, quota, 3, now, now + milliseconds(50)).count()),
              3 * 1'017 - 50, 2);
}

// A lane that the network held up catches up, but never sends more than its share in any window.
TEST(LimiterTest, AMissedSlotIsUsedLater) {
  Limiter limiter = Make();
  const std::vector<QuotaRule> rules{{40, milliseconds(10'000)}};
  const Limiter::Quota quota{rules, 1};
  milliseconds now = limiter.Ask(kLane, quota, milliseconds(0)).wait;
  std::vector<milliseconds> sent;
  while (now < milliseconds(60'000)) {
    const auto turn = limiter.Ask(kLane, quota, now);
    if (turn.wait > milliseconds(0)) {
      now += turn.wait;
      continue;
    }
    sent.push_back(now);
    const milliseconds latency(sent.size() % 4 == 0 ? 800 : 20);  // 215 ms on the average; a slot has 256
    limiter.RecordSent(kLane, quota, 1, now, now + latency);
    now += latency;
  }
  EXPECT_GE(sent.size(), 230u) << "of 240";
  for (std::size_t i = 40; i < sent.size(); ++i) EXPECT_GE(sent[i] - sent[i - 40], milliseconds(10'000));
}

TEST(LimiterTest, ALongQuotaIsCountedNotSpread) {
  Limiter limiter = Make();
  const milliseconds day(86'400'000);
  const std::vector<QuotaRule> rules{{11, day}};
  const Limiter::Quota quota{rules, 2};
  const auto send = [&](const LaneId& lane, milliseconds now) {
    return limiter.RecordSent(lane, quota, 1, now, now);
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(send(kLane, milliseconds(i)), milliseconds(0));
  EXPECT_EQ(send(kLane, milliseconds(5)), day - milliseconds(5));
  EXPECT_EQ(limiter.Ask(kLane, quota, milliseconds(6)).wait, day - milliseconds(6));
  const LaneId other{"m", 1};
  for (int i = 0; i < 4; ++i) send(other, milliseconds(i));
  EXPECT_GT(send(other, milliseconds(5)), milliseconds(0)) << "6 + 5 = 11";
  EXPECT_EQ(limiter.Ask(kLane, quota, day).wait, milliseconds(0)) << "a new day";
  EXPECT_EQ(send(kLane, day), milliseconds(0));
}

// A job that was opened before the configuration changed may have more lanes than a day has requests.
TEST(LimiterTest, MoreLanesThanADaysRequestsTakeTurns) {
  const std::int64_t day = 86'400'000;
  const std::vector<QuotaRule> rules{{3, milliseconds(day)}};
  std::vector<std::int64_t> sent;
  for (int lane = 0; lane < 8; ++lane) {
    Limiter limiter = Make();
    std::int64_t mine = 0;
    for (std::int64_t now = 0; now < 8 * day;) {
      const auto turn = limiter.Ask({"m", lane}, {rules, 8}, milliseconds(now));
      if (turn.wait > milliseconds(0)) {
        now += turn.wait.count() + 300;  // through ledger and broker
        continue;
      }
      EXPECT_TRUE(turn.save) << "the next owner must know";
      EXPECT_GE(turn.ahead, milliseconds(2 * day));
      sent.push_back(now);
      ++mine;
      now +=
          limiter.RecordSent({"m", lane}, {rules, 8}, 1, milliseconds(now), milliseconds(now + 100)).count() +
          300;
    }
    EXPECT_GE(mine, 2) << lane;
  }
  std::sort(sent.begin(), sent.end());
  for (std::size_t i = 3; i < sent.size(); ++i) EXPECT_GT(sent[i] - sent[i - 3], day);
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
      const auto turn = worker.Ask(kLane, {quota, 1}, milliseconds(now));
      if (turn.wait > milliseconds(0)) break;
      if (turn.save) kept.memory = worker.Memory(kLane, milliseconds(now), false).memory;
      ++sent;
      died = random() % 4 == 0;  // with the request in flight: nothing more is written
      if (died) break;
      worker.RecordSent(kLane, {quota, 1}, 1, milliseconds(now), milliseconds(now));
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
  const std::vector<QuotaRule> fast{{100, milliseconds(10'000)}}, slow{{1, milliseconds(60'000)}};
  EXPECT_FALSE(limiter.Ask(kLane, {fast, 4}, milliseconds(0)).save);
  const auto turn = limiter.Ask(kLane, {slow, 1}, milliseconds(0));
  EXPECT_TRUE(turn.save);
  EXPECT_GE(turn.ahead, milliseconds(60'000));
}

TEST(LimiterTest, ANewOwnerContinuesWhereTheOldOneWas) {
  Limiter limiter = Make();
  ledger::LaneState state{.held = true, .lease_epoch = 4};
  state.memory.delay_ms = 750;
  limiter.Start(kLane, state, milliseconds(0));
  EXPECT_NEAR(limiter.Of(kLane).delay_ms, 750, 1e-6);
  limiter.OnSuccess(kLane, kNoQuota, milliseconds(0), milliseconds(0));
  limiter.OnSuccess(kLane, kNoQuota, milliseconds(800), milliseconds(900));
  const double newer = limiter.Of(kLane).delay_ms;
  EXPECT_LT(newer, 750);
  limiter.Start(kLane, state, milliseconds(1'000));
  EXPECT_EQ(limiter.Of(kLane).delay_ms, newer) << "nobody else had it: what is known here is newer";
}

TEST(LimiterTest, LanesOfOneWorkerShareWhatItLearnt) {
  Limiter limiter = Make();
  ledger::LaneState state{.held = true, .lease_epoch = 1};
  state.memory.delay_ms = 500;
  for (int lane = 0; lane < 4; ++lane) limiter.Start({"m", lane}, state, milliseconds(0));
  EXPECT_NEAR(limiter.Of(kLane).delay_ms, 500, 1e-6) << "each as before";
  limiter.Memory({"m", 3}, milliseconds(0), true);
  EXPECT_NEAR(limiter.Of(kLane).delay_ms, 500, 1e-6) << "the lane took its part of the rate with it";
}

TEST(LimiterTest, WhatWasLearntIsKept) {
  Limiter limiter = Make();
  Refuse(limiter, std::nullopt, milliseconds(0), 0);
  limiter.OnSuccess(kLane, kNoQuota, milliseconds(10), milliseconds(20));
  limiter.SetNotBefore(kLane, milliseconds(5'000), "throttled");
  auto kept = limiter.Memory(kLane, milliseconds(2'000), false);
  EXPECT_EQ(kept.memory.successes, 1);
  EXPECT_EQ(kept.memory.throttles, 1);
  EXPECT_EQ(kept.wait, milliseconds(3'000));
  EXPECT_EQ(kept.waiting_for, "throttled");
  EXPECT_EQ(limiter.Memory(kLane, milliseconds(2'000), false).memory.successes, 0) << "counted once";
}

TEST(LimiterTest, WhatRemainsIsSpreadOverTheRestOfAWindow) {
  Limiter limiter = Make();
  const auto told = [&](std::int64_t remaining, milliseconds reset, int lanes, int lane = 0) {
    return limiter.ApplyHeaders({"m", lane}, {kNoRules, lanes}, {{100, remaining, reset, std::nullopt}},
                                milliseconds(0));
  };
  EXPECT_EQ(told(99, milliseconds(500'000), 1), milliseconds(0)) << "plenty is left";
  EXPECT_EQ(told(50, milliseconds(500'000), 1), milliseconds(10'000));
  EXPECT_EQ(told(50, milliseconds(500'000), 4), milliseconds(40'000));
  EXPECT_EQ(told(0, milliseconds(5'000), 1), milliseconds(5'000));
  EXPECT_EQ(told(1, milliseconds(500'000), 4), milliseconds(250'000)) << "the first lane has it";
  EXPECT_EQ(told(1, milliseconds(500'000), 4, 1), milliseconds(500'000)) << "never beyond the window";
  EXPECT_EQ(told(0, std::chrono::days(300), 1), milliseconds(3'600'000)) << "asks again after an hour";
}

TEST(LimiterTest, ADaysRestIsNotSpread) {
  Limiter limiter = Make();
  const RateWindow day{200'000, 3, std::nullopt, std::chrono::days(1)};
  const Limiter::Quota quota{kNoRules, 4};
  EXPECT_EQ(limiter.ApplyHeaders({"m", 2}, quota, {day}, milliseconds(0)), milliseconds(0));
  EXPECT_EQ(limiter.ApplyHeaders({"m", 3}, quota, {day}, milliseconds(0)), milliseconds(3'600'000))
      << "three for four lanes";
}

TEST(LimiterTest, ALimitThatHeadersTellIsPacedLikeAQuota) {
  Limiter limiter = Make();
  const Limiter::Quota quota{kNoRules, 1};
  int sent = 0;
  for (milliseconds now(0); now < milliseconds(60'000);) {
    const milliseconds wait = limiter.Ask(kLane, quota, now).wait;
    if (wait > milliseconds(0)) {
      now += wait;
      continue;
    }
    ++sent;
    limiter.RecordSent(kLane, quota, 1, now, now + milliseconds(5));
    now += milliseconds(5);
    limiter.ApplyHeaders(kLane, quota, {{100, std::max(0, 99 - sent), std::nullopt, milliseconds(10'000)}},
                         now);
  }
  EXPECT_GE(sent, 580) << "100 in 10.25 s";
  EXPECT_LE(sent, 600);
}

// What the lane's own requests explain changes nothing; what others use is left to them.
TEST(LimiterTest, WhatOthersUseOfALimitSlowsDown) {
  const std::vector<QuotaRule> rules{{100, milliseconds(10'000)}};
  const Limiter::Quota quota{rules, 1};
  const auto longest = [&](std::int64_t others) {
    Limiter limiter = Make();
    milliseconds now(0), wait(0);
    for (int i = 0; i < 60; ++i) {
      now += limiter.Ask(kLane, quota, now).wait;
      wait = std::max(wait, limiter.RecordSent(kLane, quota, 1, now, now + milliseconds(10)));
      now += milliseconds(10);
      const std::int64_t remaining = std::max<std::int64_t>(0, 99 - i - others);
      limiter.ApplyHeaders(kLane, quota, {{100, remaining, std::nullopt, milliseconds(10'000)}}, now);
    }
    return wait;
  };
  EXPECT_LE(longest(0), milliseconds(110));
  EXPECT_GE(longest(35), milliseconds(120));
  EXPECT_LE(longest(35), milliseconds(180));
}

TEST(LimiterTest, NoTimeToldIsNoWait) {
  Limiter limiter = Make();
  EXPECT_EQ(limiter.ApplyHeaders(kLane, kNoQuota, {{100, 0, std::nullopt, std::nullopt}}, milliseconds(0)),
            milliseconds(0));
  EXPECT_EQ(limiter.ApplyHeaders(kLane, kNoQuota, {}, milliseconds(0)), milliseconds(0));
}

// Of 1 s for one answer and 10 ms for another, the second tells the time to within 5 ms.
TEST(LimiterTest, TheDatabasesClockIsReadByTheQuickestAnswer) {
  ManualClock clock;
  int asked = 0;
  const milliseconds began = clock.Boot();
  const auto wall = Limiter::MeasureWall(clock, [&]() -> Result<std::int64_t> {
    const milliseconds there(asked == 3 ? 5 : 900), back(asked == 3 ? 5 : 100);
    ++asked;
    clock.Advance(there);
    const std::int64_t told = (clock.Boot() - began).count() + 7'000'000;
    clock.Advance(back);
    return told;
  });
  ASSERT_TRUE(wall);
  EXPECT_EQ(*wall, milliseconds(7'000'000) - began);
  const auto failed = Limiter::MeasureWall(
      clock, []() -> Result<std::int64_t> { return Fail(ErrorClass::kDatabase, "gone"); });
  EXPECT_FALSE(failed);
}

// One lane asks as it is told to; `answer` makes what the upstream tells of request number n (from 0) at a
// time. Returns when each was sent.
template <class Answer>
std::vector<milliseconds> SentIn(Limiter& limiter, milliseconds time, const Answer& answer) {
  std::vector<milliseconds> sent;
  for (milliseconds now(0); now < time;) {
    const milliseconds wait = limiter.Ask(kLane, kNoQuota, now).wait;
    if (wait > milliseconds(0)) {
      now += wait;
      continue;
    }
    const auto told = answer(static_cast<int>(sent.size()), now);
    sent.push_back(now);
    const milliseconds began = now;
    now += milliseconds(5);
    const auto learnt = limiter.OnSuccess(kLane, kNoQuota, began, now);
    const auto quota = limiter.RecordSent(kLane, kNoQuota, 1, began, now);
    now += std::max({learnt, quota, limiter.ApplyHeaders(kLane, kNoQuota, told, now)});
  }
  return sent;
}

// Windows of 10 s, of which only the end is told, in whole seconds, as seconds or as a Unix time.
TEST(LimiterTest, AWindowsLengthIsLearntFromWhenItEnds) {
  for (const milliseconds more : {milliseconds(0), milliseconds(400)}) {
    Limiter limiter = Make();
    std::int64_t window = -1, used = 0, refused = 0;
    const auto sent = SentIn(limiter, milliseconds(120'000), [&](int, milliseconds now) {
      const std::int64_t number = (now.count() + 3'700) / 10'000;
      if (number != window) used = 0;
      window = number;
      if (++used > 100) ++refused;
      const milliseconds left((number + 1) * 10'000 - now.count() - 3'700 + more.count());
      const milliseconds whole(more > milliseconds(0) ? left : std::chrono::ceil<std::chrono::seconds>(left));
      return std::vector<RateWindow>{{100, std::max<std::int64_t>(0, 100 - used), whole, std::nullopt}};
    });
    const auto late = std::count_if(sent.begin(), sent.end(), [](auto at) { return at.count() >= 20'000; });
    EXPECT_GE(late, 960);
    EXPECT_LE(late, 1'000);
    EXPECT_LE(refused, 30) << "in the first windows";
  }
}

// A proxy's window, told once among others, is not kept for three of its lengths.
TEST(LimiterTest, AWindowThatIsNoLongerToldIsForgotten) {
  Limiter limiter = Make();
  const RateWindow slow{60, 59, std::nullopt, milliseconds(60'000)};
  const RateWindow fast{100, 50, std::nullopt, milliseconds(10'000)};
  const auto sent = SentIn(limiter, milliseconds(60'000), [&](int n, milliseconds) {
    return std::vector<RateWindow>{n == 0 ? slow : fast};
  });
  EXPECT_GE(sent.size(), 380u) << "ten in a second after the first 20";
}

TEST(LimiterTest, ALimitThatChangesIsKeptAtOnce) {
  Limiter limiter = Make();
  std::int64_t limit = 100;
  const auto sent = SentIn(limiter, milliseconds(100'000), [&](int, milliseconds now) {
    limit = now < milliseconds(50'000) ? 100 : 20;
    return std::vector<RateWindow>{{limit, limit / 20, std::nullopt, milliseconds(10'000)}};
  });
  const auto late = std::count_if(sent.begin(), sent.end(), [](auto at) { return at.count() >= 51'000; });
  EXPECT_GE(late, 90);
  EXPECT_LE(late, 100);
}

// Then nothing is known of how much of the limit is used, least of all that it is little.
TEST(LimiterTest, MoreRemainingThanTheLimitSpeedsNothingUp) {
  Limiter limiter = Make();
  const std::vector<RateWindow> told{{100, 5'000, std::nullopt, milliseconds(10'000)}};
  std::int64_t sent = 0;
  for (milliseconds now(0); now < milliseconds(60'000); now += milliseconds(10)) {
    for (int index = 0; index < 4; ++index) {
      const LaneId lane{"m", index};
      const Limiter::Quota quota{kNoRules, 4};
      if (now == milliseconds(0)) limiter.Start(lane, {.held = true, .lease_epoch = 1}, now);
      if (limiter.Ask(lane, quota, now).wait > milliseconds(0)) continue;
      limiter.RecordSent(lane, quota, 1, now, now);
      limiter.ApplyHeaders(lane, quota, told, now);
      ++sent;
    }
  }
  EXPECT_LE(sent, 620) << "100 in 10 s, whatever is said to remain";
  EXPECT_GE(sent, 550);
}

// Two limits, by what is asked for: the one's remaining after the other's is no sign that requests come back.
TEST(LimiterTest, TheEndOfAWindowIsBelievedWhereTwoLimitsAreTold) {
  Limiter limiter = Make();
  const milliseconds end(1'800'000);
  for (int i = 0; i < 10; ++i) {
    const RateWindow core{5'000, 4'000 - i, end - milliseconds(i), std::nullopt};
    const RateWindow search{30, 20 - i, milliseconds(50'000 - i), std::nullopt};
    limiter.ApplyHeaders(kLane, kNoQuota, {i % 2 == 0 ? core : search}, milliseconds(i));
  }
  EXPECT_EQ(limiter.UsedUpFor(kLane, {{30, 0, milliseconds(40'000), std::nullopt}}), milliseconds(40'000));
}

// While there was little to do nothing was refused, and the rate that is tried grew to thousands a second.
TEST(LimiterTest, ARefusalAfterQuietTimesIsNotRepeatedAtOnce) {
  Limiter limiter = Make();
  Refuse(limiter, std::nullopt, milliseconds(0), 0);
  milliseconds now(1'000);
  for (int i = 0; i < 600; ++i, now += milliseconds(1'000)) {
    limiter.OnSuccess(kLane, kNoQuota, now, now + milliseconds(10));
    if (i == 2) Refuse(limiter, std::nullopt, milliseconds(0), static_cast<int>(now.count()) + 20);
  }
  EXPECT_GE(Refuse(limiter, std::nullopt, milliseconds(0), static_cast<int>(now.count())), milliseconds(500));
}

// Each lane would find out for itself.
TEST(LimiterTest, ARefusalHoldsTheOtherLanesForAMoment) {
  Limiter limiter = Make();
  const Limiter::Quota quota{kNoRules, 8};
  for (int index = 0; index < 8; ++index)
    limiter.Start({"m", index}, {.held = true, .lease_epoch = 1}, milliseconds(0));
  limiter.Throttled(kLane, quota, std::nullopt, milliseconds(0), milliseconds(10), milliseconds(20));
  const auto second = limiter.Ask({"m", 1}, quota, milliseconds(30)).wait;
  const auto third = limiter.Ask({"m", 2}, quota, milliseconds(30)).wait;
  EXPECT_GT(second, milliseconds(100));
  EXPECT_GT(third, second) << "one after the other";
  EXPECT_EQ(limiter.Ask({"m", 1}, quota, milliseconds(30) + second).wait, milliseconds(0));
}

}  // namespace
}  // namespace weir::worker
