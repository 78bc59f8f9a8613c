#include "common/kafka/line_limiter.h"

#include <algorithm>

namespace weir::kafka {

bool LineLimiter::Allows(std::string_view line, Millis now) {
  constexpr std::size_t kMostBytes = 200;
  std::string kind;
  for (const char c : line.substr(0, kMostBytes)) {
    if (c < '0' || c > '9') kind += c;
  }
  const std::lock_guard guard(mutex_);
  const auto [at, is_new] = last_.try_emplace(std::move(kind), now);
  if (!is_new) {
    if (now - at->second < kEvery) return false;
    at->second = now;
    return true;
  }
  if (last_.size() > kMostKinds) {
    // Whichever was let through first may be forgotten; at worst it is said again too soon.
    const auto oldest = std::min_element(last_.begin(), last_.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
    last_.erase(oldest);
  }
  return true;
}

}  // namespace weir::kafka
