#include "common/base/backoff.h"

#include <algorithm>
#include <cstdint>

namespace weir {

Backoff::Millis Backoff::Wait(int n) {
  const int doublings = std::clamp(n - 1, 0, 30);
  const std::int64_t wanted = base_.count() << doublings;
  const std::int64_t ceiling = std::clamp<std::int64_t>(wanted, 1, max_.count());
  std::uniform_int_distribution<std::int64_t> jitter(ceiling / 2, ceiling);
  return Millis(jitter(random_));
}

}  // namespace weir
