#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace weir::worker {

// A simulated upstream with a limit, and workers whose lanes ask it as fast as their Limiters let them, each
// worker with a Limiter and clocks of its own. Without threads, sleeps or I/O: the same case has the same
// result every time. For tests and `weir-limit-bench`.
struct SimulatedCase {
  enum class Limit {
    kFixedWindow,
    kSlidingLog,       // the times of all requests in the window
    kSlidingCounters,  // two fixed windows' counts, the older one by the part of it that is still inside
    kTokenBucket,      // as many tokens as requests in a window
  };
  enum class Headers {
    kNone,
    kMaxInterval,  // X-RateLimit-Max, -Interval-Milliseconds, -Remaining, and a day's (HighLevel)
    kResetDelta,   // X-RateLimit-Limit, -Remaining, -Reset in seconds
    kResetEpoch,   // the same, a Unix time
    kDraft,        // RateLimit and RateLimit-Policy
  };
  Limit limit = Limit::kFixedWindow;
  Headers headers = Headers::kNone;
  bool retry_after = false;  // on a 429
  bool quota_known = true;   // configured, as it is
  std::int64_t requests = 50;
  std::chrono::milliseconds window{1'000};
  int lanes = 4;
  int workers = 1;
  std::chrono::milliseconds latency{100};   // of an answer, ± 20 %
  std::chrono::milliseconds clocks_off{5};  // by how much at most, of the workers' clocks
  double others = 0;                        // part of the limit that others than weir use, evenly
  std::chrono::milliseconds warm_up{0};     // not counted
  std::chrono::milliseconds time{60'000};   // counted
  std::uint64_t seed = 1;

  std::string Name() const;
};

struct SimulatedResult {
  double goodput = 0;  // answers of what limit and latency allow
  double refused = 0;  // 429s of all requests
};

SimulatedResult Simulate(const SimulatedCase& simulated);

std::string NameOf(SimulatedCase::Limit limit);
std::string NameOf(SimulatedCase::Headers headers);

}  // namespace weir::worker
