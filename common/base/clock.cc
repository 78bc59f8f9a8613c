#include "common/base/clock.h"

#include <ctime>

namespace weir {

std::int64_t SystemClock::UnixMillis() const {
  return std::chrono::duration_cast<Millis>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Clock::Millis SystemClock::Boot() const {
  timespec ts{};
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return Millis(static_cast<std::int64_t>(ts.tv_sec) * 1000 + ts.tv_nsec / 1'000'000);
}

std::int64_t ManualClock::UnixMillis() const {
  std::lock_guard lock(mutex_);
  return unix_millis_;
}

Clock::Millis ManualClock::Boot() const {
  std::lock_guard lock(mutex_);
  return boot_;
}

void ManualClock::Advance(Millis by) {
  std::lock_guard lock(mutex_);
  unix_millis_ += by.count();
  boot_ += by;
}

}  // namespace weir
