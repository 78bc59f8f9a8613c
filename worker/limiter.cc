#include "worker/limiter.h"

#include <algorithm>
#include <utility>

namespace weir::worker {
namespace {

using Millis = Limiter::Millis;

constexpr Millis kLongestWait{3'600'000};  // for what an upstream says (DESIGN §5)
constexpr Millis kPacedWindow{3'600'000};
// Of a lane's own guess, found by simulation against windows of 10 to 100 requests.
constexpr double kSettle = 2;
constexpr double kRecover = 0.8;
// A lane that paces more slowly writes its wait down before it sends: a worker that is killed is followed by
// another after its lease, which is shorter.
constexpr Millis kSaveAhead{2'000};
constexpr std::size_t kMaxSeen = 2 * kMaxRateWindows;
constexpr double kAverageWeight = 0.2;

bool Paced(const QuotaRule& rule) { return rule.per <= kPacedWindow; }

// What a paced window is made longer by: 2 %, and never more than jitter is.
Millis Slack(const QuotaRule& rule) { return std::min(rule.per / 50, Millis(100)); }

// The slots of one lane under the slowest of the paced rules: an even stream that keeps it keeps the others
// too.
struct Slots {
  Millis gap{0};   // between two slots of the lane; 0 = no rule is paced
  Millis late{0};  // a request may begin so long after its slot
  Millis first{0};

  Slots(const std::vector<QuotaRule>& quota, const LaneId& lane, int lanes) {
    for (const QuotaRule& rule : quota) {
      if (!Paced(rule)) continue;
      // Rounded up: a millisecond too early, a hundred times, is one request too many.
      const Millis of_rule(((rule.per + Slack(rule)).count() * lanes + rule.requests - 1) / rule.requests);
      if (of_rule <= gap) continue;
      gap = of_rule;
      late = std::max(Slack(rule), std::min(gap / 4, Millis(50)));
    }
    first = gap * (lane.index % lanes) / lanes;
  }
  // The last slot that is not after `time`.
  Millis Before(Millis time) const { return time - (time - first) % gap; }
};

// All shares make up the quota.
std::int64_t ShareOf(const QuotaRule& rule, const LaneId& lane, int lanes) {
  const std::int64_t share = rule.requests / lanes + (lane.index < rule.requests % lanes ? 1 : 0);
  return std::max<std::int64_t>(1, share);
}

// Counts are written down for so many requests ahead.
std::int64_t Ahead(std::int64_t share) { return std::max<std::int64_t>(1, share / 1000); }

Millis Whole(double ms) { return Millis(static_cast<std::int64_t>(ms)); }

}  // namespace

Limiter::Limiter(LimiterOptions options, Millis base_delay, Millis max_delay, std::uint64_t seed, Millis wall)
    : options_(options), wall_(wall), backoff_(base_delay, max_delay, seed) {
  options_.max_delay_ms = std::max(options_.max_delay_ms, options_.min_delay_ms);
}

void Limiter::Start(const LaneId& lane, const ledger::LaneState& from, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  if (state.lease_epoch == from.lease_epoch) return;
  state = State{};
  state.lease_epoch = from.lease_epoch;
  state.delay_ms = std::clamp(from.memory.delay_ms, options_.min_delay_ms, options_.max_delay_ms);
  state.settle_ms = state.delay_ms;
  state.task_ms = std::max(0.0, from.memory.task_ms);
  for (const auto& window : from.memory.windows) {
    state.windows[window.per] = {now - window.age, window.sent, window.sent, 1};
  }
}

Limiter::Window& Limiter::Current(State& state, const LaneId& lane, const QuotaRule& rule, int lanes,
                                  Millis now) {
  Window& window = state.windows[rule.per];
  if (window.sent == 0 || now >= window.began + rule.per) window = {now, 0, 0, 1};
  window.share = ShareOf(rule, lane, lanes);
  return window;
}

Limiter::Turn Limiter::Ask(const LaneId& lane, const std::vector<QuotaRule>& quota, int lanes, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  Turn turn;
  const Slots slots(quota, lane, lanes);
  if (slots.gap > Millis(0)) {
    const Millis slot = slots.Before(wall_ + now);
    if (slot <= state.slot || wall_ + now > slot + slots.late) turn.wait = slot + slots.gap - (wall_ + now);
    if (slots.gap > kSaveAhead) turn.ahead = slots.gap;
  }
  turn.save = turn.ahead > Millis(0);
  for (const QuotaRule& rule : quota) {
    if (Paced(rule)) continue;
    const Window& window = Current(state, lane, rule, lanes, now);
    if (window.sent >= window.share) turn.wait = std::max(turn.wait, window.began + rule.per - now);
    turn.save = turn.save || window.sent >= window.kept;
  }
  return turn;
}

Millis Limiter::Charge(const LaneId& lane, const std::vector<QuotaRule>& quota, int lanes,
                       std::int64_t requests, Millis began, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  Millis wait{0};
  const Slots slots(quota, lane, lanes);
  if (slots.gap > Millis(0)) {
    const Millis used = std::max(slots.Before(wall_ + began), state.slot);
    state.slot = used + slots.gap * (requests - 1);
    Millis next = state.slot + slots.gap;
    if (wall_ + now > next + slots.late) next = slots.Before(wall_ + now) + slots.gap;
    wait = next - (wall_ + now);
  }
  for (const QuotaRule& rule : quota) {
    if (Paced(rule)) continue;
    Window& window = Current(state, lane, rule, lanes, now);
    window.sent += requests;
    if (window.sent >= window.share) wait = std::max(wait, window.began + rule.per - now);
  }
  return std::max(wait, Millis(0));
}

Millis Limiter::WaitFor(State& state, const RateWindow& told, const LaneId& lane, int lanes, Millis now) {
  const Millis length = told.window.value_or(Millis(0));
  if (state.seen.size() >= kMaxSeen && !state.seen.contains(length)) state.seen.clear();
  Seen& seen = state.seen[length];
  const std::int64_t remaining = *told.remaining;
  // More than before: a new window has begun.
  if (remaining > seen.remaining || (told.window && now >= seen.began + length)) seen.began = now;
  seen.remaining = remaining;
  if (!told.reset && !told.window) return Millis(0);  // no time is told: the lane's own guess must do
  const Millis left = told.reset.value_or(seen.began + length - now);
  if (std::max(left, length) > kPacedWindow) return lane.index >= remaining ? left : Millis(0);
  if (told.limit && remaining > *told.limit / 2) return Millis(0);
  if (remaining <= 0) return left;
  return Millis(std::min(left.count(), left.count() * lanes / remaining));
}

Millis Limiter::Told(const LaneId& lane, const std::vector<RateWindow>& windows, int lanes, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  Millis wait{0};
  for (const RateWindow& window : windows) {
    wait = std::max(wait, WaitFor(state, window, lane, lanes, now));
  }
  return std::min(wait, kLongestWait);
}

Limiter::View Limiter::Answered(const LaneId& lane, const std::vector<RateWindow>& told) {
  // Who tells how many requests are left, and until when, leaves nothing to guess. A day's rest says nothing
  // of a pace.
  const bool paced = std::any_of(told.begin(), told.end(), [](const RateWindow& w) {
    return (w.reset || w.window) &&
           std::max(w.reset.value_or(Millis(0)), w.window.value_or(Millis(0))) <= kPacedWindow;
  });
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  state.failures = 0;
  ++state.successes;
  Shrink(state);
  return {paced ? options_.min_delay_ms : state.delay_ms, state.task_ms};
}

void Limiter::Finished(const LaneId& lane, Millis task_time) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  const auto ms = static_cast<double>(task_time.count());
  state.task_ms = state.task_ms == 0 ? ms : state.task_ms + kAverageWeight * (ms - state.task_ms);
}

void Limiter::Grow(State& state, Millis now) const {
  if (now - state.grown_at < kGrowEvery) return;
  if (state.settled) state.settle_ms = kSettle * state.delay_ms;
  state.settled = false;
  state.grown_at = now;
  state.delay_ms = std::clamp(std::max(state.delay_ms * options_.increase, options_.initial_delay_ms),
                              options_.min_delay_ms, options_.max_delay_ms);
}

void Limiter::Shrink(State& state) const {
  state.settled = true;
  const double slowly = state.delay_ms * options_.decrease;
  state.delay_ms = state.delay_ms > state.settle_ms
                       ? std::min(slowly, std::max(state.delay_ms * kRecover, state.settle_ms))
                       : slowly;
  if (state.delay_ms < 1) state.delay_ms = 0;
  state.delay_ms = std::max(options_.min_delay_ms, state.delay_ms);
}

Millis Limiter::Throttled(const LaneId& lane, std::optional<Millis> asked, Millis floor, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  ++state.throttles;
  if (!asked) Grow(state, now);
  return std::clamp(asked.value_or(Whole(state.delay_ms)), std::min(floor, kLongestWait), kLongestWait);
}

Millis Limiter::Failed(const LaneId& lane, int attempts, std::optional<Millis> asked) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  ++state.failures;
  const Millis wait = backoff_.Wait(std::max(attempts, state.failures));
  return asked ? std::max(wait, std::min(*asked, kLongestWait)) : wait;
}

void Limiter::Hold(const LaneId& lane, Millis until, const std::string& waiting_for) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  state.next_at = until;
  state.waiting_for = waiting_for;
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

Limiter::Kept Limiter::Memory(const LaneId& lane, Millis now, bool leaving) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  Kept kept;
  kept.memory.delay_ms = state.delay_ms;
  kept.memory.task_ms = state.task_ms;
  kept.memory.successes = std::exchange(state.successes, 0);
  kept.memory.throttles = std::exchange(state.throttles, 0);
  kept.wait = std::max(Millis(0), state.next_at - now);
  kept.waiting_for = state.waiting_for;
  for (auto& [per, window] : state.windows) {
    if (now >= window.began + per) continue;
    // Never beyond what is already granted by more than the next few: a lane that dies forgoes those.
    window.kept = leaving ? window.sent : std::max(window.kept, window.sent + Ahead(window.share));
    kept.memory.windows.push_back({per, now - window.began, window.kept});
  }
  if (leaving) states_.erase(lane);
  return kept;
}

}  // namespace weir::worker
