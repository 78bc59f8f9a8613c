// How fast this worker's lanes go together: the part of Limiter that weighs what is known against what was
// learnt.
#include <algorithm>
#include <utility>

#include "worker/limiter.h"

namespace weir::worker {
namespace {

using Millis = Limiter::Millis;

constexpr Millis kIdle{5'000};
// Of the longest wait after a refusal: nothing that was learnt makes a lane slower.
constexpr double kMostDelays = 6;

Millis Whole(double ms) { return Millis(static_cast<std::int64_t>(ms)); }

}  // namespace

// Between two requests of a lane, in milliseconds; 0 = nothing was learnt.
double Limiter::LearntGap(const LaneId& lane) const {
  const auto meter = meters_.find(lane.meter);
  if (meter == meters_.end()) return 0;
  const std::optional<double> rate = meter->second.learner.Rate();
  if (!rate) return 0;
  Millis latest{0};
  int held = 0;
  const auto first = states_.lower_bound({lane.meter, 0});
  for (auto at = first; at != states_.end() && at->first.meter == lane.meter; ++at, ++held) {
    latest = std::max(latest, at->second.seen_at);
  }
  const Millis idle = kIdle + Whole(3 * held / *rate);
  int active = 0;
  for (auto at = first; at != states_.end() && at->first.meter == lane.meter; ++at) {
    const bool resting = at->second.sent_at && *at->second.sent_at + idle < latest;
    active += resting && at->first.index != lane.index ? 0 : 1;
  }
  return std::min(std::max(1, active) / *rate, kMostDelays * options_.max_delay_ms);
}

// What was learnt makes no lane wait longer than lanes.max_delay allows.
double Limiter::Bounded(double rate) const {
  return std::max(rate, 1 / (kMostDelays * options_.max_delay_ms));
}

// Whether the quota, or a limit that headers tell, alone keeps this worker below a learnt rate, or next to
// it. Two paces on top of each other lose requests: a lane that waits for the one misses its slot in the
// other.
bool Limiter::QuotaIsSlower(const LaneId& lane, const Quota& quota, double rate, Millis now) {
  static constexpr double kNextTo = 0.85;
  const auto known = KnownRate(lane, quota, now);
  return known && rate >= kNextTo * *known;
}

// Of this worker's lanes, as the quota and headers tell it.
std::optional<double> Limiter::KnownRate(const LaneId& lane, const Quota& quota, Millis now) {
  std::vector<QuotaRule> rules = MeterOf(lane).ToldRules(now);
  rules.insert(rules.end(), quota.rules.begin(), quota.rules.end());
  const auto whole = SlowestRate(rules, quota.lanes);
  if (!whole) return std::nullopt;
  const MeterLimits::Lanes lanes = LanesOf(lane, quota.lanes);
  return *whole * lanes.held / lanes.all;
}

// Requests in a millisecond that this worker sends of the meter, as far as it is known.
double Limiter::PaceOf(const LaneId& lane, const Quota& quota, Millis now) {
  const double learnt = Bounded(MeterOf(lane).learner.Rate().value_or(1 / options_.initial_delay_ms));
  return KnownRate(lane, quota, now).value_or(learnt);
}

// Where nothing but a learnt rate spreads the lanes, and after refusals.
Millis Limiter::AwaitTurn(State& state, const LaneId& lane, const Quota& quota, Millis now) {
  MeterLimits& meter = MeterOf(lane);
  const std::optional<double> rate = meter.learner.Rate();
  const bool held = now < meter.HeldUntil();
  const bool learnt = rate && !QuotaIsSlower(lane, quota, *rate, now);
  const std::optional<Millis> had = std::exchange(state.turn_at, std::nullopt);
  if (!held && (!learnt || (had && now >= *had))) return Millis(0);
  const Millis turn = meter.TurnOf(PaceOf(lane, quota, now), now);
  if (turn > now) state.turn_at = turn;
  return turn - now;
}

}  // namespace weir::worker
