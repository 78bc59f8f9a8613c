#include "worker/limiter_meter.h"

#include <algorithm>
#include <cmath>

#include "worker/limiter_slots.h"

namespace weir::worker {
namespace {

using Millis = MeterLimits::Millis;

// Headers that were not told for so many windows, and at least so long, are forgotten.
constexpr int kWindowsKept = 3;
constexpr Millis kKeptAtLeast{60'000};
constexpr std::int64_t kTellingsKept = 2 * kMaxRateWindows;
constexpr Millis kTimeStep{1'000};
// A longer window whose length is not told (an hour) is not paced from its start, so that a short job is not
// spread over it.
constexpr Millis kLongestTimed{120'000};
constexpr Millis kCountsOn{60'000};
constexpr Millis kLongestHold{10'000};
constexpr int kMostHolds = 16;
// After so many refusals in a row the end of the window is believed that is told, after all.
constexpr int kHoldsBelieved = 6;
constexpr Millis kLongestTurn{4'000};
constexpr double kTurnsKept = 2;  // so many lanes may send at once where none did for a while
// Of a window.
constexpr double kHardlyUsed = 0.75;
constexpr double kWellUsed = 0.9;
// A lane that waits a second for a refusal is no sign that it has nothing to do.
constexpr Millis kLeastPeriod{10'000};
// Requests of one worker keep so much of their mean distance.
constexpr double kDistance = 0.95;

}  // namespace

void SentCount::Turn(Millis now) {
  const std::int64_t part = now / part_;
  if (part - current_ > kParts) counts_.fill(0);
  for (std::int64_t i = std::max(current_ + 1, part - kParts); i <= part; ++i) {
    counts_[static_cast<std::size_t>(i % (kParts + 1))] = 0;
  }
  current_ = std::max(current_, part);
}

void SentCount::Add(Millis now, std::int64_t requests) {
  Turn(now);
  counts_[static_cast<std::size_t>(current_ % (kParts + 1))] += requests;
}

std::int64_t SentCount::Count(Millis now) {
  Turn(now);
  std::int64_t sum = 0;
  for (const std::int64_t count : counts_) sum += count;
  return sum;
}

void MeterLimits::OnSent(Millis now, std::int64_t requests) {
  sent_ += requests;
  for (auto& [per, window] : windows_) window.sent.Add(now, requests);
}

void MeterLimits::OnWindow(const RateWindow& told, const std::vector<QuotaRule>& rules, const Lanes& lanes,
                           Millis now) {
  const Millis per = *told.window;
  if (windows_.size() >= kMaxRateWindows && !windows_.contains(per)) windows_.clear();
  auto found = windows_.find(per);
  const bool first = found == windows_.end();
  if (first) found = windows_.emplace(per, Window(per)).first;
  Window& window = found->second;
  // What weir sent before the window was told, more than one request a lane, still counts: in sliding
  // counters for up to two windows.
  if (first && sent_ > lanes.held) window.unknown_until = now + per + std::min(per, kCountsOn);
  if (window.limit != *told.limit) {
    window.sharing = 1;
    window.others = window.most_used = 0;
    window.ours = 1;
    window.period_began = now;
  }
  window.limit = *told.limit;
  // More than there are: it counts something else, and says nothing of what is used.
  const bool believed = *told.remaining <= window.limit;
  window.remaining = std::min(*told.remaining, window.limit);
  window.told_at = now;
  window.told = ++tellings_;
  double pace = static_cast<double>(window.limit);
  for (const QuotaRule& rule : rules) {
    if (!IsPaced(rule, lanes.all)) continue;
    pace = std::min(pace, static_cast<double>(rule.requests) * static_cast<double>(per.count()) /
                              static_cast<double>(rule.per.count()));
  }
  window.pace = std::max<std::int64_t>(1, static_cast<std::int64_t>(pace));
  if (first || !believed) return;
  Share(window, per, lanes, now);
  if (now < window.unknown_until) return;
  // Lanes that other workers hold may have used their full pace, as much slower as ours is.
  const double elsewhere = window.ours * pace * std::max(0, lanes.all - lanes.held) / lanes.all;
  const auto explained = window.sent.Count(now) + static_cast<std::int64_t>(elsewhere) + lanes.held +
                         std::max<std::int64_t>(2, window.limit / 50);
  const std::int64_t others = window.limit - window.remaining - explained;
  if (others >= window.others || now - window.others_at > per) {
    window.others = std::max<std::int64_t>(0, others);
    window.others_at = now;
  }
  window.ours = std::clamp(static_cast<double>(window.limit - window.others) / pace, 0.02, 1.0);
}

std::vector<QuotaRule> MeterLimits::ToldRules(Millis now) {
  std::erase_if(windows_, [&](const auto& w) {
    // An upstream that changed its window tells another one from then on.
    return now - w.second.told_at > std::max(kWindowsKept * w.first, kKeptAtLeast) ||
           tellings_ - w.second.told > kTellingsKept;
  });
  std::vector<QuotaRule> rules;
  for (const auto& [per, window] : windows_) rules.push_back({window.limit, per});
  return rules;
}

void MeterLimits::Share(Window& window, Millis per, const Lanes& lanes, Millis now) {
  window.most_used = std::max(window.most_used, window.limit - window.remaining);
  if (window.remaining <= window.limit / 20) {
    window.sharing = 1;
  } else if (now - window.period_began >= std::max(per, kLeastPeriod)) {
    const double used = static_cast<double>(window.most_used) / static_cast<double>(window.limit);
    if (used < kHardlyUsed)
      window.sharing = std::clamp(window.sharing * std::max(0.5, used / kWellUsed), 1.0 / lanes.all, 1.0);
  } else {
    return;
  }
  window.period_began = now;
  window.most_used = 0;
}

int MeterLimits::SharingLanes(Millis per, const Lanes& lanes) const {
  const auto window = windows_.find(per);
  if (window == windows_.end()) return lanes.all;
  return std::clamp(static_cast<int>(std::lround(lanes.all * window->second.sharing)), 1, lanes.all);
}

void MeterLimits::OnReset(const RateWindow& told, int lanes, Millis now) {
  const std::int64_t remaining = *told.remaining;
  const Millis left = *told.reset;
  // One of several limits, by what is asked for.
  if (told.limit != ending_limit_) ends_ = Millis(0);
  ending_limit_ = told.limit;
  if (now >= ends_) {
    // A window that has just begun has more left.
    const bool fresh = ends_ > Millis(0) && now < ends_ + left / 4;
    if (fresh && told.limit && remaining < *told.limit / 2) gradual_ = true;
    ends_ = now + left;
    lowest_ = remaining;
  }
  // Answers of several lanes come out of order, and times are in whole seconds.
  if (remaining > lowest_ + lanes && now < ends_ - kTimeStep * 3 / 2) gradual_ = true;
  lowest_ = std::min(lowest_, remaining);
}

std::optional<Millis> MeterLimits::LengthOf(std::int64_t limit, Millis left, Millis now) {
  if (limit != timed_limit_) {
    windows_.erase(length_);
    length_ = Millis(0);
  } else if (left > length_ && left <= kLongestTimed &&
             std::chrono::abs(now + left - timed_end_) <= 2 * kTimeStep) {
    // Whole seconds are told. A window that was seen only in part gives way to what is seen of it later.
    const Millis whole = left >= kTimeStep ? Millis(left / kTimeStep * kTimeStep) : left;
    if (whole > length_) {
      windows_.erase(length_);
      length_ = whole;
    }
  }
  timed_limit_ = limit;
  timed_end_ = now + left;
  return length_ > Millis(0) ? std::optional(length_) : std::nullopt;
}

Millis MeterLimits::Reserve(Millis at, double rate) {
  const Millis apart(static_cast<std::int64_t>(kDistance / rate));
  if (at < reserved_ + apart && at > reserved_ - 10 * apart) at = reserved_ + apart;
  reserved_ = std::max(reserved_, at);
  return at;
}

Millis MeterLimits::TurnOf(double rate, Millis now) {
  const double apart = kDistance / rate;
  const auto at = static_cast<double>(now.count());
  turn_ = std::max({turn_, at - kTurnsKept * apart, static_cast<double>(held_until_.count())});
  // Who comes when so many wait comes back later: the rate is soon another one.
  if (turn_ > at + static_cast<double>(kLongestTurn.count())) return now + kLongestTurn;
  const Millis turn(static_cast<std::int64_t>(turn_));
  turn_ += apart;
  return std::max(now, turn);
}

void MeterLimits::Hold(Millis sent, double rate, bool paced, Millis longest, Millis now) {
  if (sent <= std::max(held_at_, held_until_) && holds_ > 0) return;  // as the one before it
  holds_ = std::min(holds_ + 1, kMostHolds);
  if (holds_ >= kHoldsBelieved) gradual_ = false;
  double ms =
      std::min(std::exp2(holds_) / rate, static_cast<double>(std::min(longest, kLongestHold).count()));
  if (paced && holds_ == 1) ms = 0;
  held_at_ = now;
  held_until_ = now + Millis(static_cast<std::int64_t>(ms));
}

void MeterLimits::OnGranted(Millis sent) {
  if (sent > held_at_) holds_ = 0;
}

Millis MeterLimits::GapForOthers(const Lanes& lanes, Millis now) const {
  Millis gap{0};
  for (const auto& [per, window] : windows_) {
    if (window.others <= 0 || window.ours >= 1 || now - window.others_at > 2 * per) continue;
    const auto left = std::max(window.limit - window.others, std::max<std::int64_t>(1, window.limit / 50));
    gap = std::max(gap, Millis(per.count() * lanes.all / left));
  }
  return gap;
}

}  // namespace weir::worker
