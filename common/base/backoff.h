#pragma once

#include <chrono>
#include <random>

namespace weir {

// Exponential backoff with full jitter: the n-th wait is uniform in [d/2, d], d = min(max, base · 2^(n-1)).
// Not thread-safe; each owner has its own.
class Backoff {
 public:
  using Millis = std::chrono::milliseconds;

  Backoff(Millis base, Millis max, std::uint64_t seed) : base_(base), max_(max), random_(seed) {}
  // The wait after the n-th failure in a row, n ≥ 1.
  Millis Wait(int n);

 private:
  Millis base_;
  Millis max_;
  std::mt19937_64 random_;
};

}  // namespace weir
