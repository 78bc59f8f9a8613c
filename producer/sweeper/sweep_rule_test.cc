#include "producer/sweeper/sweep_rule.h"

#include <gtest/gtest.h>

#include <functional>

namespace weir {
namespace {

using Kind = SweepDecision::Kind;

SweepFacts Good() {
  SweepFacts facts;
  facts.lists_all = facts.full = facts.read_whole = true;
  facts.stored = facts.noted = 90;
  facts.live = 100;
  facts.to_mark = 10;
  return facts;
}

TEST(SweepRule, EitherBoundWillDo) {
  const SweepLimits limits{10, 10};
  EXPECT_TRUE(limits.Allow(0, 0));
  EXPECT_TRUE(limits.Allow(10, 10));  // all of them, but few
  EXPECT_FALSE(limits.Allow(11, 11));
  EXPECT_FALSE(limits.Allow(11, 109));
  EXPECT_TRUE(limits.Allow(11, 110));
  EXPECT_TRUE(limits.Allow(100'000'000, 1'000'000'000));
  EXPECT_FALSE(limits.Allow(100'000'001, 1'000'000'000));
  EXPECT_TRUE((SweepLimits{0, 0}.Allow(0, 100)));
  EXPECT_FALSE((SweepLimits{0, 0}.Allow(1, 100)));
  EXPECT_TRUE((SweepLimits{100, 0}.Allow(100, 100)));
}

TEST(SweepRule, ASourcesOwnLimitsWin) {
  Config config;
  config.sweep_max_stale_percent = 20;
  config.sweep_max_stale_rows = 5;
  config.sources["lichess"].sweep_max_stale_rows = 0;
  EXPECT_EQ(SweepLimitsOf(config, "chesscom").percent, 20);
  EXPECT_EQ(SweepLimitsOf(config, "chesscom").rows, 5);
  EXPECT_EQ(SweepLimitsOf(config, "lichess").percent, 20);
  EXPECT_EQ(SweepLimitsOf(config, "lichess").rows, 0);
}

TEST(SweepRule, MarksAfterACompleteSuccessfulEnumeration) {
  const auto decision = DecideSweep(Good(), {});
  EXPECT_EQ(decision.kind, Kind::kMark);
  EXPECT_EQ(decision.reason, "");
}

TEST(SweepRule, HoldsWhatIsTooMuch) {
  SweepFacts facts = Good();
  facts.to_mark = 11;
  EXPECT_EQ(DecideSweep(facts, {}).kind, Kind::kHold);
  EXPECT_NE(DecideSweep(facts, {}).reason, "");
}

// Each fact alone is enough to refuse, whatever the limits.
TEST(SweepRule, RefusesWhenOneThingIsMissing) {
  const std::function<void(SweepFacts&)> flaws[] = {
      [](auto& f) { f.lists_all = false; },   [](auto& f) { f.full = false; },
      [](auto& f) { f.read_whole = false; },  [](auto& f) { f.scope_known = false; },
      [](auto& f) { f.doubt = "a total"; },   [](auto& f) { f.noted = f.stored = 0; },
      [](auto& f) { f.noted = f.stored - 1; }};
  for (const auto& flaw : flaws) {
    SweepFacts facts = Good();
    flaw(facts);
    const auto decision = DecideSweep(facts, {100, 1'000'000});
    EXPECT_EQ(decision.kind, Kind::kRefuse) << decision.reason;
    EXPECT_NE(decision.reason, "");
  }
}

// A total or an enumeration that falls short of the other is no deletion. All that the last total counts must
// have come: what was created meanwhile makes up for nothing.
TEST(SweepRule, ATotalAndAnEnumerationMustFit) {
  struct Case {
    std::int64_t before, after, met;
    Kind kind;
  };
  for (const Case& c : {Case{1'000, 1'000, 1'000, Kind::kMark}, Case{1'000, 1'000, 999, Kind::kRefuse},
                        Case{1'000, 900, 900, Kind::kMark}, Case{1'000, 900, 899, Kind::kRefuse},
                        Case{1'000, 990, 1'000, Kind::kMark}, Case{1'000, 900, 1'000, Kind::kRefuse},
                        Case{1'000, 2'000, 2'000, Kind::kMark}, Case{1'000, 2'000, 1'999, Kind::kRefuse},
                        Case{1'500, 1'600, 1'500, Kind::kRefuse}, Case{1'000, 1'050, 1'060, Kind::kMark},
                        Case{2'000, 0, 1'900, Kind::kRefuse}, Case{0, 0, 1'000, Kind::kRefuse},
                        Case{7, 7, 1'000, Kind::kRefuse}, Case{1'000, 1'000, 1'010, Kind::kMark},
                        Case{1'000, 1'000, 1'100, Kind::kRefuse}}) {
    SweepFacts facts = Good();
    facts.total_before = c.before;
    facts.total_after = c.after;
    facts.met = c.met;
    EXPECT_EQ(DecideSweep(facts, {}).kind, c.kind) << c.before << " " << c.after << " " << c.met;
    if (c.before == c.after) {
      facts.total_after.reset();  // only the first question told a total
      EXPECT_EQ(DecideSweep(facts, {}).kind, c.kind) << c.before << " " << c.met;
    }
    facts.to_mark = 0;  // then there is nothing to refuse
    EXPECT_EQ(DecideSweep(facts, {}).kind, Kind::kMark);
  }
}

}  // namespace
}  // namespace weir
