// What headers say of an upstream's windows: the part of Limiter that reads them.
#include <algorithm>

#include "worker/limiter.h"

namespace weir::worker {
namespace {

using Millis = Limiter::Millis;

constexpr Millis kLongestWait{3'600'000};  // for what an upstream says
// What an upstream says of a time is in whole seconds as a rule, so it may be a second less.
constexpr Millis kTimeStep{1'000};
// What remains is spread over the rest of a window only where that second matters little.
constexpr Millis kSpreadFrom = 10 * kTimeStep;
constexpr std::size_t kMaxSeen = 2 * kMaxRateWindows;

bool IsLong(const RateWindow& window) {
  return std::max(window.reset.value_or(Millis(0)), window.window.value_or(Millis(0))) > kLongestPacedWindow;
}

}  // namespace

// A day's rest is not spread: the last requests of it go to the first lanes.
Millis Limiter::LongWindow(State& state, const RateWindow& told, const LaneId& lane, Millis now) {
  const Millis length = told.window.value_or(Millis(0));
  if (state.seen.size() >= kMaxSeen && !state.seen.contains(length)) state.seen.clear();
  Seen& seen = state.seen[length];
  const std::int64_t remaining = *told.remaining;
  // More than before: a new window has begun.
  if (remaining > seen.remaining || (told.window && now >= seen.began + length)) seen.began = now;
  seen.remaining = remaining;
  if (lane.index < remaining) return Millis(0);
  return told.reset.value_or(seen.began + length - now);
}

Millis Limiter::ShortWindow(const LaneId& lane, const Quota& quota, RateWindow told, Millis now) {
  MeterLimits& meter = MeterOf(lane);
  const MeterLimits::Lanes lanes = LanesOf(lane, quota.lanes);
  for (const QuotaRule& rule : quota.rules) {
    if (!told.window && rule.requests == told.limit && IsPaced(rule, quota.lanes)) told.window = rule.per;
  }
  const std::int64_t remaining = *told.remaining;
  if (!told.window && told.limit && told.reset) {
    meter.OnReset(told, quota.lanes, now);
    told.window = meter.LengthOf(*told.limit, *told.reset, now);
  }
  if (told.window && told.limit) {
    meter.OnWindow(told, quota.rules, lanes, now);
    const bool others = meter.GapForOthers(lanes, now) > Millis(0);
    return others && remaining == 0 ? told.reset.value_or(Millis(0)) : Millis(0);
  }
  if (!told.reset) return Millis(0);  // no time is told: what is learnt must do
  const Millis left = *told.reset;
  if (!told.limit) meter.OnReset(told, quota.lanes, now);
  if (meter.GrantsGradually()) return Millis(0);
  if (remaining == 0) {
    meter.learner.OnRefused(now, now + std::max(Millis(0), left - kTimeStep), true);
    return left;
  }
  if (left < kSpreadFrom || !told.limit || remaining > *told.limit / 2) return Millis(0);
  const auto rate = SlowestRate(quota.rules, quota.lanes);
  const double needed = rate ? *rate * static_cast<double>((left - kTimeStep).count()) - quota.lanes : 0;
  if (rate && static_cast<double>(remaining) >= needed) return Millis(0);
  if (remaining >= quota.lanes) return Millis(left.count() * quota.lanes / remaining);
  return lane.index < remaining ? left * (lane.index + 1) / (remaining + 1) : left;
}

Millis Limiter::ApplyHeaders(const LaneId& lane, const Quota& quota, const std::vector<RateWindow>& windows,
                             Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  Millis wait{0};
  for (const RateWindow& window : windows) {
    wait = std::max(
        wait, IsLong(window) ? LongWindow(state, window, lane, now) : ShortWindow(lane, quota, window, now));
  }
  return std::min(wait, kLongestWait);
}

std::optional<Millis> Limiter::UsedUpFor(const LaneId& lane, const std::vector<RateWindow>& windows) const {
  std::lock_guard lock(mutex_);
  const auto meter = meters_.find(lane.meter);
  const bool gradual = meter != meters_.end() && meter->second.GrantsGradually();
  std::optional<Millis> wait;
  for (const RateWindow& window : windows) {
    if (window.remaining == 0 && window.reset && (!gradual || IsLong(window)))
      wait = std::max(wait.value_or(Millis(0)), *window.reset);
  }
  return wait;
}

}  // namespace weir::worker
