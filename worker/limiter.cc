#include "worker/limiter.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace weir::worker {
namespace {

using std::chrono::ceil;
using Millis = Limiter::Millis;

constexpr Millis kLongestWait{3'600'000};  // for what an upstream says
// A lane that paces more slowly writes its wait down before it sends: a worker that is killed is followed by
// another after its lease, which is shorter.
constexpr Millis kSaveAhead{2'000};
// What an upstream says of a time is in whole seconds as a rule, so it may be a second less.
constexpr Millis kTimeStep{1'000};
// A longer refusal is no matter of a rate.
constexpr Millis kLongestRefusal{600'000};
constexpr double kAverageWeight = 0.2;

// Counts are written down for so many requests ahead.
std::int64_t Ahead(std::int64_t share) { return std::max<std::int64_t>(1, share / 1000); }

Millis Whole(double ms) { return Millis(static_cast<std::int64_t>(ms)); }

}  // namespace

Limiter::Limiter(LimiterOptions options, Millis base_delay, Millis max_delay, std::uint64_t seed, Millis wall)
    : options_(options), wall_(wall), backoff_(base_delay, max_delay, seed) {
  options_.max_delay_ms = std::max(options_.max_delay_ms, options_.min_delay_ms);
}

Result<Millis> Limiter::MeasureWall(const Clock& clock, const std::function<Result<std::int64_t>()>& ask) {
  static constexpr int kTries = 8;
  Millis wall{0}, quickest = Millis::max();
  for (int i = 0; i < kTries; ++i) {
    const Millis asked = clock.Boot();
    const auto told = ask();
    if (!told) return Fail(told.error());
    const Millis took = clock.Boot() - asked;
    if (took >= quickest) continue;
    quickest = took;
    wall = Millis(*told) - asked - took / 2;
  }
  return wall;
}

MeterLimits& Limiter::MeterOf(const LaneId& lane) {
  const double probe = std::clamp(1 - options_.decrease, 0.001, 0.5);
  return meters_.try_emplace(lane.meter, probe).first->second;
}

MeterLimits::Lanes Limiter::LanesOf(const LaneId& lane, int lanes) const {
  int held = 0;
  for (auto at = states_.lower_bound({lane.meter, 0}); at != states_.end() && at->first.meter == lane.meter;
       ++at) {
    ++held;
  }
  return {lanes, std::clamp(held, 1, lanes)};
}

// The rules as configured, and as headers tell them; of two with the same window, the lesser.
std::vector<LaneSlots> Limiter::SlotsOf(const LaneId& lane, const Quota& quota, Millis now) {
  MeterLimits& meter = MeterOf(lane);
  const std::vector<QuotaRule> told = meter.ToldRules(now);
  const auto lesser = [](const QuotaRule& rule, const std::vector<QuotaRule>& others) {
    return std::none_of(others.begin(), others.end(), [&](const QuotaRule& other) {
      return other.per == rule.per && other.requests < rule.requests;
    });
  };
  std::vector<LaneSlots> slots;
  for (const QuotaRule& rule : quota.rules) {
    if (IsPaced(rule, quota.lanes) && lesser(rule, told))
      slots.emplace_back(rule, lane.index % quota.lanes, quota.lanes);
  }
  for (const QuotaRule& rule : told) {
    const bool known = std::find(quota.rules.begin(), quota.rules.end(), rule) != quota.rules.end();
    if (known || !lesser(rule, quota.rules)) continue;
    const int sharing = meter.SharingLanes(rule.per, LanesOf(lane, quota.lanes));
    slots.emplace_back(rule, lane.index % sharing, sharing);
    slots.back().credit = std::max<std::int64_t>(1, slots.back().credit);
  }
  return slots;
}

void Limiter::Start(const LaneId& lane, const ledger::LaneState& from, Millis now) {
  std::lock_guard lock(mutex_);
  const auto known = states_.find(lane);
  if (known != states_.end() && known->second.lease_epoch == from.lease_epoch) return;
  const double delay = std::clamp(from.memory.delay_ms, options_.min_delay_ms, options_.max_delay_ms);
  RateLearner& learner = MeterOf(lane).learner;
  const int held = LanesOf(lane, INT32_MAX).held;
  if (known == states_.end() && learner.Rate()) learner.Scale(static_cast<double>(held + 1) / held);
  if (delay > 0) learner.Seed(1 / delay);
  State& state = states_[lane];
  state = State{};
  state.lease_epoch = from.lease_epoch;
  state.task_ms = std::max(0.0, from.memory.task_ms);
  for (const auto& window : from.memory.windows) {
    state.windows[window.per] = {now - window.age, window.sent, window.sent, 1};
  }
}

Limiter::Window& Limiter::Current(State& state, const LaneId& lane, const Quota& quota, const QuotaRule& rule,
                                  Millis now) {
  Window& window = state.windows[rule.per];
  if (window.sent == 0 || now >= window.began + rule.per) window = {now, 0, 0, 1};
  window.share = ShareOf(rule, lane.index % quota.lanes, quota.lanes);
  return window;
}

Limiter::Turn Limiter::Ask(const LaneId& lane, const Quota& quota, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  Turn turn;
  const std::vector<LaneSlots> slots = SlotsOf(lane, quota, now);
  turn.wait = ceil<Millis>(state.pacer.Wait(slots, wall_ + now));
  for (const LaneSlots& rule : slots) {
    if (rule.gap > kSaveAhead) turn.ahead = std::max(turn.ahead, ceil<Millis>(rule.gap));
  }
  turn.save = turn.ahead > Millis(0);
  if (turn.wait <= Millis(0)) turn.wait = AwaitTurn(state, lane, quota, now);
  for (const QuotaRule& rule : quota.rules) {
    if (IsPaced(rule, quota.lanes)) continue;
    const Window& window = Current(state, lane, quota, rule, now);
    if (window.sent >= window.share) {
      turn.wait = std::max(turn.wait, window.began + rule.per - now);
      turn.used_up = true;
    }
    turn.save = turn.save || window.sent >= window.kept;
  }
  return turn;
}

Millis Limiter::RecordSent(const LaneId& lane, const Quota& quota, std::int64_t requests, Millis began,
                           Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  MeterLimits& meter = MeterOf(lane);
  const std::vector<LaneSlots> slots = SlotsOf(lane, quota, now);
  meter.OnSent(now, requests);
  state.sent_at = began;
  state.pacer.Record(slots, requests, wall_ + began);
  Millis wait = ceil<Millis>(state.pacer.Wait(slots, wall_ + now));
  const Millis others = meter.GapForOthers(LanesOf(lane, quota.lanes), now);
  if (others > Millis(0)) wait = std::max(wait, began + others - now);
  for (const QuotaRule& rule : quota.rules) {
    if (IsPaced(rule, quota.lanes)) continue;
    Window& window = Current(state, lane, quota, rule, now);
    window.sent += requests;
    if (window.sent >= window.share) wait = std::max(wait, window.began + rule.per - now);
  }
  return std::max(wait, Millis(0));
}

Millis Limiter::OnSuccess(const LaneId& lane, const Quota& quota, Millis sent, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  state.failures = 0;
  state.refused_ms = 0;
  ++state.successes;
  state.seen_at = now;
  RateLearner& learner = MeterOf(lane).learner;
  learner.OnSuccess(sent, now);
  MeterOf(lane).OnGranted(sent);
  Millis wait = Whole(options_.min_delay_ms);
  const std::optional<double> rate = learner.Rate();
  if (rate && !QuotaIsSlower(lane, quota, *rate, now)) {
    const Millis next = std::max(now, sent + Whole(std::ceil(LearntGap(lane))));
    wait = std::max(wait, MeterOf(lane).Reserve(next, Bounded(*rate)) - now);
  }
  return wait;
}

void Limiter::Finished(const LaneId& lane, Millis task_time) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  const auto ms = static_cast<double>(task_time.count());
  state.task_ms = state.task_ms == 0 ? ms : state.task_ms + kAverageWeight * (ms - state.task_ms);
}

Millis Limiter::Throttled(const LaneId& lane, const Quota& quota, std::optional<Millis> asked, Millis floor,
                          Millis sent, Millis now) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  ++state.throttles;
  state.seen_at = now;
  const Millis least = std::min(floor, kLongestWait);
  MeterOf(lane).Hold(sent, PaceOf(lane, quota, now), KnownRate(lane, quota, now).has_value(),
                     Whole(options_.max_delay_ms), now);
  RateLearner& learner = MeterOf(lane).learner;
  if (asked.value_or(Millis(0)) > kLongestRefusal) {
    learner.Restart(now);
  } else {
    learner.OnRefused(sent, asked ? now + std::max(Millis(0), *asked - kTimeStep) : sent, asked.has_value());
  }
  const auto refused = [&](Millis wait) {
    wait = std::clamp(wait, least, kLongestWait);
    state.pacer.OnRefused(SlotsOf(lane, quota, now), wall_ + now + wait);
    return wait;
  };
  if (asked) return refused(*asked);
  if (now - state.grown_at >= kGrowEvery || state.refused_ms == 0) {
    const double usual = LearntGap(lane);
    const double first = usual > 0 ? usual : options_.initial_delay_ms;
    const double next = state.refused_ms == 0 ? first : state.refused_ms * options_.increase;
    state.refused_ms = std::clamp(next, options_.min_delay_ms, std::max(options_.max_delay_ms, usual));
    state.grown_at = now;
  }
  return refused(Whole(std::ceil(state.refused_ms)));
}

Millis Limiter::Failed(const LaneId& lane, int attempts, std::optional<Millis> asked) {
  std::lock_guard lock(mutex_);
  State& state = states_[lane];
  ++state.failures;
  const Millis wait = backoff_.Wait(std::max(attempts, state.failures));
  return asked ? std::max(wait, std::min(*asked, kLongestWait)) : wait;
}

void Limiter::SetNotBefore(const LaneId& lane, Millis until, const std::string& waiting_for) {
  std::lock_guard lock(mutex_);
  // A lane whose lease was not had is another worker's: it must not count among those that share a rate here.
  const auto known = states_.find(lane);
  if (known == states_.end()) return;
  known->second.next_at = until;
  known->second.waiting_for = waiting_for;
}

Limiter::View Limiter::Of(const LaneId& lane) const {
  std::lock_guard lock(mutex_);
  const auto state = states_.find(lane);
  if (state == states_.end()) return View{};
  const double delay = state->second.refused_ms > 0 ? state->second.refused_ms : LearntGap(lane);
  return {delay, state->second.task_ms};
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
  const double learnt = LearntGap(lane);
  kept.memory.delay_ms = learnt > 0 ? learnt : state.refused_ms;
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
  if (leaving) {
    const int held = LanesOf(lane, INT32_MAX).held;
    states_.erase(lane);
    if (held == 1) {
      meters_.erase(lane.meter);
    } else {
      MeterOf(lane).learner.Scale(static_cast<double>(held - 1) / held);
    }
  }
  return kept;
}

}  // namespace weir::worker
