#include "worker/limiter_slots.h"

#include <algorithm>
#include <cmath>

namespace weir::worker {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using Micros = LaneSlots::Micros;

constexpr std::int64_t kLogEntries = 128;
constexpr Micros kLatest = milliseconds(50);
constexpr Micros kMostSlack = milliseconds(1'000);
constexpr Micros kMostGuard = milliseconds(50);
constexpr std::int64_t kMostCredit = 8;

// A paced window is made longer by 2 % at the most, so that what arrives late does not overrun it. Where
// lanes take turns nothing else keeps them from it.
Micros SlackOf(Micros per, bool turns) { return turns ? per / 50 : std::min(per / 40, kMostSlack); }

}  // namespace

bool IsPaced(const QuotaRule& rule, int lanes) {
  return rule.per <= kLongestPacedWindow || rule.requests < lanes;
}

std::int64_t ShareOf(const QuotaRule& rule, int index, int lanes) {
  return rule.requests / lanes + (index < rule.requests % lanes ? 1 : 0);
}

std::optional<double> SlowestRate(const std::vector<QuotaRule>& rules, int lanes) {
  std::optional<double> slowest;
  for (const QuotaRule& rule : rules) {
    if (!IsPaced(rule, lanes)) continue;
    const double rate = static_cast<double>(rule.requests) / static_cast<double>(rule.per.count());
    slowest = std::min(slowest.value_or(rate), rate);
  }
  return slowest;
}

LaneSlots::LaneSlots(const QuotaRule& rule, int index, int lanes)
    : per(rule.per), share(ShareOf(rule, index, lanes)) {
  const Micros slack = SlackOf(per, rule.requests < lanes);
  const Micros paced = per + slack;
  guard = std::min(slack * 3 / 4, kMostGuard);
  apart = paced / rule.requests;
  if (rule.requests < lanes) {
    share = 0;
    gap = (paced * lanes + Micros(rule.requests - 1)) / rule.requests;
    first = gap * index / lanes;
  } else {
    // Lanes with one request more, and those without: each kind lies evenly among its own.
    const std::int64_t more = rule.requests % lanes;
    const bool has_more = index < more;
    gap = (paced + Micros(share - 1)) / share;
    first = has_more ? gap * index / more : gap * (index - more) / (lanes - more);
    credit = std::clamp<std::int64_t>(share / 4, 1, kMostCredit);
  }
  gap = std::max(gap, Micros(1));
  late = std::max(slack / 2, std::min(gap / 4, kLatest));
}

SendLog::SendLog(std::int64_t share)
    : share_(std::max<std::int64_t>(1, share)), stride_((share_ + kLogEntries - 1) / kLogEntries) {}

void SendLog::Add(Micros at, std::int64_t requests) {
  const std::int64_t most = share_ / stride_ + 1;
  for (std::int64_t i = 0; i < std::min(requests, share_); ++i, ++sent_) {
    if (sent_ % stride_ != 0) continue;
    const std::int64_t place = sent_ / stride_;
    if (place >= static_cast<std::int64_t>(times_.size()) && place < most) {
      times_.push_back(at);
    } else {
      times_[static_cast<std::size_t>(place % most)] = at;
    }
  }
}

Micros SendLog::FreeAt(Micros per) const {
  if (sent_ < share_) return Micros(INT64_MIN / 4);
  const std::int64_t place = (sent_ - share_ + stride_ - 1) / stride_;
  return times_[static_cast<std::size_t>(place % (share_ / stride_ + 1))] + per;
}

std::optional<LaneSlots> LanePacer::Slowest(const std::vector<LaneSlots>& rules) {
  if (rules.empty()) return std::nullopt;
  std::optional<LaneSlots> slowest = *std::max_element(
      rules.begin(), rules.end(), [](const LaneSlots& a, const LaneSlots& b) { return a.gap < b.gap; });
  if (slowest->share > 0) slowest->first += moved_;
  if (started_ && slowest->gap != gap_) used_ = slowest->Before(used_);
  gap_ = slowest->gap;
  return slowest;
}

// The slot that a request at `now` would use, or the next one if it may not use any.
Micros LanePacer::NextSlot(const LaneSlots& slots, Micros now) const {
  const Micros current = slots.Before(now);
  const bool in_time = now <= current + slots.late;
  if (!started_) {
    const bool came_late = slots.credit > 0 && now >= planned_;
    return in_time || came_late ? current : current + slots.gap;
  }
  const Micros oldest = current - slots.gap * slots.credit;
  const Micros next = std::max(used_ + slots.gap, oldest);
  const bool missed = next == current && !in_time && slots.credit == 0;
  return missed ? current + slots.gap : next;
}

Micros LanePacer::Wait(const std::vector<LaneSlots>& rules, Micros now) {
  const auto slowest = Slowest(rules);
  if (!slowest) return Micros(0);
  Micros at = NextSlot(*slowest, now);
  if (!started_ && at > now) planned_ = std::min(planned_, at);
  for (const LaneSlots& rule : rules) {
    const auto log = logs_.find(rule.per);
    if (rule.share > 0 && log != logs_.end() && log->second.Share() == rule.share) {
      at = std::max(at, log->second.FreeAt(rule.per + rule.guard));
    }
  }
  return std::max(Micros(0), at - now);
}

void LanePacer::Record(const std::vector<LaneSlots>& rules, std::int64_t requests, Micros began) {
  const auto slowest = Slowest(rules);
  if (!slowest) {
    used_ = began;
    gap_ = Micros(0);
    started_ = true;
    return;
  }
  const Micros current = slowest->Before(began);
  Micros slot = current;
  if (started_) slot = std::max(used_ + slowest->gap, current - slowest->gap * slowest->credit);
  used_ = slot + slowest->gap * (requests - 1);
  started_ = true;
  for (const LaneSlots& rule : rules) {
    auto log = logs_.find(rule.per);
    if (log == logs_.end() || log->second.Share() != std::max<std::int64_t>(1, rule.share)) {
      log = logs_.insert_or_assign(rule.per, SendLog(rule.share)).first;
    }
    log->second.Add(began, requests);
  }
  while (logs_.size() > rules.size()) {
    const auto stale = std::find_if(logs_.begin(), logs_.end(), [&](const auto& log) {
      return std::none_of(rules.begin(), rules.end(), [&](const LaneSlots& r) { return r.per == log.first; });
    });
    if (stale == logs_.end()) break;
    logs_.erase(stale);
  }
}

void LanePacer::OnRefused(const std::vector<LaneSlots>& rules, Micros until) {
  auto slowest = Slowest(rules);
  if (!slowest || slowest->share == 0) return;
  // Multiples of the golden ratio fall evenly.
  const double part = std::fmod(0.618034 * ++moves_, 1.0);
  const Micros by(static_cast<std::int64_t>((0.5 + part) * static_cast<double>(slowest->apart.count())));
  moved_ = (moved_ + by) % slowest->gap;
  slowest->first += by;
  used_ = std::max(used_ + by, slowest->Before(until));
  started_ = true;
}

}  // namespace weir::worker
