#include "worker/limiter.h"

#include <algorithm>

namespace weir::worker {
namespace {

constexpr Limiter::Millis kLongestRetryAfter{3'600'000};  // DESIGN §5
constexpr Limiter::Millis kPacedWindow{3'600'000};
constexpr double kAverageWeight = 0.2;

}  // namespace

void Limiter::Start(const LaneId& lane, double delay_ms) {
  std::lock_guard lock(mutex_);
  states_[lane].delay_ms = std::clamp(delay_ms, options_.min_delay_ms, options_.max_delay_ms);
}

Limiter::View Limiter::Succeeded(const LaneId& lane, Millis task_time) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  state.failures = 0;
  state.delay_ms = std::max(options_.min_delay_ms, state.delay_ms * options_.decrease);
  if (state.delay_ms < 1) state.delay_ms = options_.min_delay_ms;
  const auto ms = static_cast<double>(task_time.count());
  state.task_ms = state.task_ms == 0 ? ms : state.task_ms + kAverageWeight * (ms - state.task_ms);
  return {state.delay_ms, state.task_ms};
}

Limiter::Millis Limiter::Throttled(const LaneId& lane, std::optional<Millis> asked, Millis floor) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  if (!asked) {
    state.delay_ms = std::clamp(std::max(state.delay_ms * options_.increase, options_.initial_delay_ms),
                                options_.min_delay_ms, options_.max_delay_ms);
  }
  const Millis wanted = asked.value_or(Millis(static_cast<std::int64_t>(state.delay_ms)));
  return std::clamp(wanted, std::min(floor, kLongestRetryAfter), kLongestRetryAfter);
}

Limiter::Millis Limiter::ChargeLong(State& state, const QuotaRule& rule, int lanes, std::int64_t requests,
                                    Millis now) {
  State::Window& window = state.windows[rule.per];
  if (window.sent == 0 || now >= window.began + rule.per) window = {now, 0};
  window.sent += requests;
  const std::int64_t share = std::max<std::int64_t>(1, rule.requests / lanes);
  return window.sent < share ? Millis(0) : window.began + rule.per - now;
}

Limiter::Millis Limiter::Charge(const LaneId& lane, const std::vector<QuotaRule>& quota, int lanes,
                                std::int64_t requests, Millis began, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  Millis wait{0};
  for (const QuotaRule& rule : quota) {
    if (rule.per > kPacedWindow) {
      wait = std::max(wait, ChargeLong(state, rule, lanes, requests, now));
      continue;
    }
    // Rounded up: a millisecond too early, a hundred times, is one request too many.
    const std::int64_t gap = (rule.per.count() * lanes + rule.requests - 1) / rule.requests;
    wait = std::max(wait, began + Millis(gap * requests) - now);
  }
  return wait;
}

Limiter::Millis Limiter::Failed(const LaneId& lane, int attempts) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  ++state.failures;
  return backoff_.Wait(std::max(attempts, state.failures));
}

Limiter::View Limiter::Of(const LaneId& lane) const {
  std::lock_guard lock(mutex_);
  const auto state = states_.find(lane);
  return state == states_.end() ? View{} : View{state->second.delay_ms, state->second.task_ms};
}

bool Limiter::TimeToSave(const LaneId& lane, Millis now, Millis every) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  if (now - state.saved_at < every) return false;
  state.saved_at = now;
  return true;
}

}  // namespace weir::worker
