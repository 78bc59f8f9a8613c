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
constexpr Millis kTimeStep{1'000};
// Of a window.
constexpr double kHardlyUsed = 0.75;
constexpr double kWellUsed = 0.9;
// Requests of one worker keep so much of their mean distance.
constexpr double kDistance = 0.7;

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
  window.limit = *told.limit;
  window.remaining = *told.remaining;
  window.told_at = now;
  double pace = static_cast<double>(window.limit);
  for (const QuotaRule& rule : rules) {
    if (!IsPaced(rule, lanes.all)) continue;
    pace = std::min(pace, static_cast<double>(rule.requests) * static_cast<double>(per.count()) /
                              static_cast<double>(rule.per.count()));
  }
  window.pace = std::max<std::int64_t>(1, static_cast<std::int64_t>(pace));
  if (first) {  // what was sent before it was told is not known
    window.period_began = now;
    return;
  }
  Share(window, per, lanes, now);
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
    return now - w.second.told_at > std::max(kWindowsKept * w.first, kKeptAtLeast);
  });
  std::vector<QuotaRule> rules;
  for (const auto& [per, window] : windows_) rules.push_back({window.limit, per});
  return rules;
}

void MeterLimits::Share(Window& window, Millis per, const Lanes& lanes, Millis now) {
  window.most_used = std::max(window.most_used, window.limit - window.remaining);
  if (window.remaining <= window.limit / 20) {
    window.sharing = 1;
  } else if (now - window.period_began >= per) {
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

void MeterLimits::OnReset(std::int64_t remaining, Millis left, int lanes, Millis now) {
  if (now >= ends_) {
    ends_ = now + left;
    lowest_ = remaining;
  }
  // Answers of several lanes come out of order, and times are in whole seconds.
  if (remaining > lowest_ + lanes && now < ends_ - kTimeStep * 3 / 2) gradual_ = true;
  lowest_ = std::min(lowest_, remaining);
}

Millis MeterLimits::Reserve(Millis at, double rate) {
  const Millis apart(static_cast<std::int64_t>(kDistance / rate));
  if (at < reserved_ + apart && at > reserved_ - 10 * apart) at = reserved_ + apart;
  reserved_ = std::max(reserved_, at);
  return at;
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
