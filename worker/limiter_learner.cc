#include "worker/limiter_learner.h"

#include <algorithm>
#include <cmath>

namespace weir::worker {
namespace {

using Millis = RateLearner::Millis;

constexpr Millis kShortestCycle{1'000};
constexpr Millis kShortestStep{4'000};
constexpr Millis kLongestStep{20'000};
constexpr Millis kIdle{5'000};
constexpr std::int64_t kLeastGood = 2;
constexpr std::size_t kMostMarks = 64;
constexpr double kMostSteps = 30;
constexpr double kMostAhead = 1.25;  // of what was sent in fact: the rate grows while there is nothing to do
constexpr double kLeastPart = 0.25;

double Ms(Millis time) { return static_cast<double>(time.count()); }

}  // namespace

void RateLearner::Restart(Millis now) {
  began_ = last_ = now;
  good_ = 0;
  refused_ = false;
  marks_.clear();
  started_ = true;
}

void RateLearner::Seed(double rate) {
  if (base_ > 0) return;
  base_ = rate;
  cycle_ = kShortestStep;
  quiet_ = Millis(0);
}

std::optional<double> RateLearner::Rate() const {
  if (base_ <= 0) return std::nullopt;
  const double steps = Ms(quiet_) / Ms(std::clamp(cycle_, kShortestStep, kLongestStep));
  return base_ * (1 - probe_ + probe_ * std::exp2(std::min(kMostSteps, steps * (1 + steps / 4))));
}

void RateLearner::NoteMark(Millis now) {
  if (!marks_.empty() && now - marks_.back().at < (now - began_) / 16) return;
  if (marks_.size() >= kMostMarks) {
    for (std::size_t i = 0; i < kMostMarks / 2; ++i) marks_[i] = marks_[2 * i];
    marks_.resize(kMostMarks / 2);
  }
  marks_.push_back({now, good_});
}

void RateLearner::OnSuccess(Millis sent, Millis now) {
  // How long a lane may rest between two requests at this rate without being idle.
  const Millis usual = base_ > 0 ? Millis(static_cast<std::int64_t>(5 / base_)) : Millis(0);
  if (!started_) {
    Restart(sent);
  } else if (!refused_ && now - last_ > std::max(kIdle, usual)) {
    Restart(now);
  } else if (!refused_) {
    quiet_ += std::max(Millis(0), now - last_);
  }
  if (refused_ && sent > refused_first_) EndCycle(sent);
  ++good_;
  last_ = std::max(last_, now);
  NoteMark(now);
}

void RateLearner::OnRefused(Millis sent, Millis reopens, bool told) {
  if (!started_) Restart(sent);
  if (!refused_) {
    refused_ = true;
    refused_first_ = sent;
    reopens_ = sent;
    told_ = false;
    // Not faster yet. While there is little to do the rate grows beyond what anyone has granted.
    if (base_ > 0) base_ = std::min(*Rate(), std::max(base_, kMostAhead * SentBy(sent)));
    quiet_ = Millis(0);
  }
  told_ = told_ || told;
  reopens_ = std::max(reopens_, reopens);
}

// The rate of what went well in this cycle until then.
double RateLearner::SentBy(Millis until) const {
  return static_cast<double>(good_) / std::max(1.0, Ms(until - began_));
}

// The upstream was open again somewhere between the last refusal and the first success.
double RateLearner::MeasuredSince(const Mark& from, Millis reopened_at, Millis now) const {
  const double least = std::max(1.0, Ms(std::min(reopened_at, now) - from.at));
  const double most = std::max(1.0, Ms(now - from.at));
  return static_cast<double>(good_ - from.good) / std::sqrt(least * most);
}

void RateLearner::EndCycle(Millis now) {
  refused_ = false;
  // A window is at least as long as it was seen to be full: less of it does not show what it grants.
  longest_full_ = std::max(longest_full_, now - refused_first_);
  if (now - began_ < std::max(kShortestCycle, longest_full_) || good_ < kLeastGood) return;
  longest_full_ = longest_full_ * 9 / 10;
  double rate = MeasuredSince({began_, 0}, reopens_, now);
  // A cycle in which the rate grew ends faster than it went on the whole.
  const Millis late = began_ + (refused_first_ - began_) * 2 / 3;
  const auto mark = std::find_if(marks_.begin(), marks_.end(), [&](const Mark& m) { return m.at >= late; });
  if (mark != marks_.end() && now - mark->at >= kShortestCycle && good_ - mark->good >= 5 * kLeastGood) {
    rate = std::max(rate, MeasuredSince(*mark, reopens_, now));
  }
  // Without a time told a few refusals cost little, and some come by chance: lanes are not evenly spread.
  if (!told_) rate *= 1 + probe_;
  // One cycle of a short window tells little: what was known before counts too, the more the longer it held.
  if (base_ > 0) {
    const double before = std::min(*Rate(), std::max(rate, kMostAhead * SentBy(refused_first_)));
    const double part = std::max(1.0 / ++cycles_, kLeastPart);
    base_ = before + part * (rate - before);
  } else {
    base_ = rate;
    cycles_ = 1;
  }
  cycle_ = now - began_;
  quiet_ = Millis(0);
  Restart(reopens_ < now ? reopens_ + (now - reopens_) / 2 : now);
  last_ = now;
}

}  // namespace weir::worker
