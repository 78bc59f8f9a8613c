#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace weir::kafka {

// Lets a log line through once in `kEvery`: librdkafka says what does not work at each of its tries, several
// times a second. Lines that differ in their numbers only (ports, times, counts) are the same. Any thread.
class LineLimiter {
 public:
  using Millis = std::chrono::milliseconds;
  static constexpr Millis kEvery{60'000};
  static constexpr std::size_t kMostKinds = 64;  // remembered; the memory is bounded

  // `now` never goes back.
  bool Allows(std::string_view line, Millis now);

 private:
  std::mutex mutex_;
  std::map<std::string, Millis> last_;  // guarded by mutex_
};

}  // namespace weir::kafka
