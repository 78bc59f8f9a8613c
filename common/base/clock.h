#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

namespace weir {

// Time, injected so that tests move it by hand. Thread-safe.
class Clock {
 public:
  using Millis = std::chrono::milliseconds;

  virtual ~Clock() = default;
  // Wall clock: milliseconds since the Unix epoch. May jump; only for what is shown or asked of an upstream.
  virtual std::int64_t UnixMillis() const = 0;
  // CLOCK_BOOTTIME: never jumps and counts a suspended machine's sleep. For every deadline and lease (DESIGN
  // §4.5).
  virtual Millis Boot() const = 0;
};

class SystemClock final : public Clock {
 public:
  std::int64_t UnixMillis() const override;
  Millis Boot() const override;
};

class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t unix_millis = 1'700'000'000'000) : unix_millis_(unix_millis) {}
  std::int64_t UnixMillis() const override;
  Millis Boot() const override;
  void Advance(Millis by);

 private:
  mutable std::mutex mutex_;
  std::int64_t unix_millis_;
  Millis boot_{1'000'000};
};

}  // namespace weir
