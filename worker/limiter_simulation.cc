#include "worker/limiter_simulation.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <queue>
#include <random>
#include <vector>

#include "worker/limiter.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;
using Limit = SimulatedCase::Limit;
using Headers = SimulatedCase::Headers;

constexpr std::int64_t kWallMs = 1'790'000'000'123;  // when a simulation begins
constexpr std::int64_t kLongWaitMs = 5'000;          // a longer one goes through ledger and broker,
constexpr double kLeadMs = 500;                      // and is asked for so much earlier

struct Answer {
  bool granted = false;
  std::int64_t remaining = 0;
  double reset_ms = 0;  // until the window ends, a request leaves it, or the bucket is full
  double retry_ms = 0;  // until the next may be granted
};

class Upstream {
 public:
  Upstream(const SimulatedCase& of, double phase_ms)
      : limit_(of.limit),
        most_(static_cast<double>(of.requests)),
        window_(static_cast<double>(of.window.count())),
        phase_(phase_ms),
        tokens_(most_) {}

  Answer Ask(double now) {
    switch (limit_) {
      case Limit::kSlidingLog:
        return SlidingLog(now);
      case Limit::kTokenBucket:
        return TokenBucket(now);
      case Limit::kFixedWindow:
      case Limit::kSlidingCounters:
        break;
    }
    return Windows(now);
  }

 private:
  Answer Windows(double now) {
    const double at = (now + phase_) / window_;
    const double number = std::floor(at);
    if (number > number_) {
      before_ = number > number_ + 1 ? 0 : used_;
      used_ = 0;
      number_ = number;
    }
    const double weighed = limit_ == Limit::kSlidingCounters ? before_ * (1 - (at - number)) : 0;
    Answer answer;
    answer.granted = weighed + used_ < most_;
    if (answer.granted) ++used_;
    answer.remaining = static_cast<std::int64_t>(std::max(0.0, most_ - weighed - used_));
    answer.reset_ms = answer.retry_ms = (number + 1 - at) * window_;
    return answer;
  }

  Answer SlidingLog(double now) {
    while (!log_.empty() && log_.front() <= now - window_) log_.pop_front();
    Answer answer;
    answer.granted = static_cast<double>(log_.size()) < most_;
    if (answer.granted) log_.push_back(now);
    answer.remaining = static_cast<std::int64_t>(most_) - static_cast<std::int64_t>(log_.size());
    answer.reset_ms = answer.retry_ms = log_.front() + window_ - now;
    return answer;
  }

  Answer TokenBucket(double now) {
    tokens_ = std::min(most_, tokens_ + (now - filled_at_) * most_ / window_);
    filled_at_ = now;
    Answer answer;
    answer.granted = tokens_ >= 1;
    if (answer.granted) tokens_ -= 1;
    answer.remaining = static_cast<std::int64_t>(tokens_);
    answer.reset_ms = (most_ - tokens_) * window_ / most_;
    answer.retry_ms = std::max(0.0, (1 - tokens_) * window_ / most_);
    return answer;
  }

  Limit limit_;
  double most_, window_, phase_;
  double number_ = 0, used_ = 0, before_ = 0;
  std::deque<double> log_;
  double tokens_, filled_at_ = 0;
};

HttpResponseHead HeadOf(const SimulatedCase& of, const Answer& answer, std::int64_t now_ms) {
  HttpResponseHead head;
  head.status = answer.granted ? 200 : 429;
  const auto add = [&](const char* name, const auto& value) {
    head.headers.push_back({name, fmt::format("{}", value)});
  };
  const auto seconds = static_cast<std::int64_t>(std::max(1.0, std::ceil(answer.reset_ms / 1000)));
  switch (of.headers) {
    case Headers::kNone:
      break;
    case Headers::kMaxInterval:
      add("X-RateLimit-Limit-Daily", 2'000'000'000);
      add("X-RateLimit-Daily-Remaining", 1'999'999'000);
      add("X-RateLimit-Interval-Milliseconds", of.window.count());
      add("X-RateLimit-Max", of.requests);
      add("X-RateLimit-Remaining", answer.remaining);
      break;
    case Headers::kResetDelta:
    case Headers::kResetEpoch:
      add("X-RateLimit-Limit", of.requests);
      add("X-RateLimit-Remaining", answer.remaining);
      add("X-RateLimit-Reset", of.headers == Headers::kResetDelta
                                   ? seconds
                                   : (now_ms + static_cast<std::int64_t>(answer.reset_ms) + 999) / 1000);
      break;
    case Headers::kDraft:
      add("RateLimit-Policy", fmt::format("\"default\";q={};w={}", of.requests, of.window.count() / 1000));
      add("RateLimit", fmt::format("\"default\";r={};t={}", answer.remaining, seconds));
      break;
  }
  return head;
}

class Simulation {
 public:
  explicit Simulation(const SimulatedCase& of)
      : of_(WithinQuota(of)),
        random_(of.seed),
        upstream_(of_, Between(0, static_cast<double>(of_.window.count()))) {
    if (of_.quota_known) quota_.push_back({of_.requests, of_.window});
    for (int i = 0; i < of_.workers; ++i) {
      Worker worker;
      worker.boot_ms = static_cast<std::int64_t>(Between(0, 1e6));
      const auto most_off = static_cast<double>(of_.clocks_off.count());
      const auto off = static_cast<std::int64_t>(Between(-most_off, most_off));
      worker.limiter = std::make_unique<Limiter>(LimiterOptions{}, milliseconds(1'000), milliseconds(60'000),
                                                 of_.seed, milliseconds(kWallMs + off - worker.boot_ms));
      workers_.push_back(std::move(worker));
    }
    for (int i = 0; i < of_.lanes; ++i) {
      Lane lane;
      lane.id = {"meter", i};
      // As keys fall on partitions and these on workers: not evenly, but nobody has nothing.
      lane.worker = i < of_.workers ? i : static_cast<int>(random_() % static_cast<unsigned>(of_.workers));
      lanes_.push_back(lane);
      Worker& worker = workers_[static_cast<std::size_t>(lane.worker)];
      worker.limiter->Start(lane.id, {.held = true, .lease_epoch = 1}, milliseconds(worker.boot_ms));
      Push(Between(0, 300), Event::kTry, i);
    }
    if (of_.others > 0) Push(0, Event::kOther, 0);
  }

  SimulatedResult Run() {
    const auto warm = static_cast<double>(of_.warm_up.count());
    const double end = warm + static_cast<double>(of_.time.count());
    while (events_.top().at < end) {
      const Event event = events_.top();
      events_.pop();
      counted_ = event.at >= warm;
      switch (event.kind) {
        case Event::kTry:
          Try(event);
          break;
        case Event::kArrive:
          Arrive(event);
          break;
        case Event::kAnswered:
          Answered(event);
          break;
        case Event::kOther:
          upstream_.Ask(event.at);
          Push(event.at + static_cast<double>(of_.window.count()) / (of_.others * Requests()), Event::kOther,
               0);
          break;
      }
    }
    const auto time = static_cast<double>(of_.time.count());
    const double granted = (1 - of_.others) * Requests() * time / static_cast<double>(of_.window.count());
    const double reachable = of_.lanes * time / (static_cast<double>(of_.latency.count()) + kOverheadMs);
    return {static_cast<double>(good_) / std::min(granted, reachable),
            static_cast<double>(refused_) / static_cast<double>(std::max<std::int64_t>(1, good_ + refused_))};
  }

 private:
  static constexpr double kOverheadMs = 3;  // between two requests, on the average
  struct Event {
    enum Kind { kTry, kArrive, kAnswered, kOther };
    double at;
    std::int64_t number;
    Kind kind;
    int lane;
    bool operator<(const Event& o) const { return at != o.at ? at > o.at : number > o.number; }
  };
  struct Worker {
    std::int64_t boot_ms = 0;
    std::unique_ptr<Limiter> limiter;
  };
  struct Lane {
    LaneId id;
    int worker = 0;
    milliseconds sent{0};
    double answered_at = 0;
    Answer answer;
    std::vector<RateWindow> told;
  };

  // The configuration leaves lanes unused for which a quota has no requests.
  static SimulatedCase WithinQuota(SimulatedCase of) {
    if (of.quota_known) of.lanes = static_cast<int>(std::min<std::int64_t>(of.lanes, of.requests));
    return of;
  }
  double Between(double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(random_);
  }
  double Requests() const { return static_cast<double>(of_.requests); }
  void Push(double at, Event::Kind kind, int lane) { events_.push({at, number_++, kind, lane}); }
  milliseconds Boot(const Lane& lane, double at) const {
    return milliseconds(workers_[static_cast<std::size_t>(lane.worker)].boot_ms +
                        static_cast<std::int64_t>(at));
  }
  Limiter& LimiterOf(const Lane& lane) { return *workers_[static_cast<std::size_t>(lane.worker)].limiter; }
  void TryAgain(const Event& event, milliseconds wait) {
    double at =
        event.at + static_cast<double>(std::max<std::int64_t>(0, wait.count())) + Between(0, 2 * kOverheadMs);
    if (wait.count() > kLongWaitMs) at += Between(20, 300) - kLeadMs;
    Push(at, Event::kTry, event.lane);
  }

  void Try(const Event& event) {
    Lane& lane = lanes_[static_cast<std::size_t>(event.lane)];
    lane.sent = Boot(lane, event.at);
    const auto turn = LimiterOf(lane).Ask(lane.id, {quota_, of_.lanes}, lane.sent);
    if (turn.wait > milliseconds(0)) return TryAgain(event, turn.wait);
    const double latency = static_cast<double>(of_.latency.count()) * Between(0.8, 1.2);
    lane.answered_at = event.at + latency;
    Push(event.at + std::min(latency / 2, Between(2, 10)), Event::kArrive, event.lane);
  }

  void Arrive(const Event& event) {
    Lane& lane = lanes_[static_cast<std::size_t>(event.lane)];
    lane.answer = upstream_.Ask(event.at);
    const std::int64_t wall = kWallMs + static_cast<std::int64_t>(event.at);
    lane.told = ParseRateLimits(HeadOf(of_, lane.answer, wall), wall);
    if (counted_) ++(lane.answer.granted ? good_ : refused_);
    Push(lane.answered_at, Event::kAnswered, event.lane);
  }

  // As TaskRunner does it.
  void Answered(const Event& event) {
    Lane& lane = lanes_[static_cast<std::size_t>(event.lane)];
    Limiter& limiter = LimiterOf(lane);
    const milliseconds now = Boot(lane, event.at);
    const Limiter::Quota quota{quota_, of_.lanes};
    milliseconds wait{0};
    if (lane.answer.granted) {
      wait = limiter.OnSuccess(lane.id, quota, lane.sent, now);
    } else {
      auto asked = limiter.UsedUpFor(lane.id, lane.told);
      if (of_.retry_after) {
        asked = milliseconds(
            1000 * static_cast<std::int64_t>(std::max(1.0, std::ceil(lane.answer.retry_ms / 1000))));
      }
      wait = limiter.Throttled(lane.id, quota, asked, milliseconds(0), lane.sent, now);
    }
    wait = std::max(wait, limiter.RecordSent(lane.id, quota, 1, lane.sent, now));
    wait = std::max(wait, limiter.ApplyHeaders(lane.id, quota, lane.told, now));
    TryAgain(event, wait);
  }

  SimulatedCase of_;
  std::mt19937_64 random_;
  Upstream upstream_;
  std::vector<QuotaRule> quota_;
  std::vector<Worker> workers_;
  std::vector<Lane> lanes_;
  std::priority_queue<Event> events_;
  std::int64_t number_ = 0;
  bool counted_ = false;
  std::int64_t good_ = 0, refused_ = 0;
};

}  // namespace

std::string NameOf(Limit limit) {
  switch (limit) {
    case Limit::kFixedWindow:
      return "fixed window";
    case Limit::kSlidingLog:
      return "sliding window";
    case Limit::kSlidingCounters:
      return "sliding counters";
    case Limit::kTokenBucket:
      break;
  }
  return "token bucket";
}

std::string NameOf(Headers headers) {
  switch (headers) {
    case Headers::kNone:
      return "no headers";
    case Headers::kMaxInterval:
      return "Max/Interval/Remaining";
    case Headers::kResetDelta:
      return "Reset in seconds";
    case Headers::kResetEpoch:
      return "Reset as Unix time";
    case Headers::kDraft:
      break;
  }
  return "RateLimit, -Policy";
}

std::string SimulatedCase::Name() const {
  return fmt::format("{}/{}s {}, {}, {}, quota {}, {} lanes, {} workers, {} ms{}", requests,
                     window.count() / 1000, NameOf(limit), NameOf(headers),
                     retry_after ? "Retry-After" : "no Retry-After", quota_known ? "known" : "unknown", lanes,
                     workers, latency.count(), others > 0 ? fmt::format(", others {}", others) : "");
}

SimulatedResult Simulate(const SimulatedCase& simulated) { return Simulation(simulated).Run(); }

}  // namespace weir::worker
