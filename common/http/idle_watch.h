#pragma once

#include <chrono>
#include <cstdint>

namespace weir {

// Says when a transfer has gone quiet: no byte for `timeout`, or fewer than `min_rate` bytes a second over a
// whole `window` since the first byte. Time the consumer takes is not the upstream's and is taken out. Pure:
// the caller brings the time (any monotonic one). Not thread-safe.
class IdleWatch {
 public:
  using Millis = std::chrono::milliseconds;
  enum class State { kAlive, kSilent, kSlow };

  IdleWatch(Millis timeout, Millis window, std::int64_t min_rate, Millis now)
      : timeout_(timeout), window_(window), min_rate_(min_rate), last_byte_(now) {}

  // The bytes had so far, all in all; called often.
  State Update(std::int64_t total_bytes, Millis now);
  // The consumer held the transfer for so long.
  void Exclude(Millis taken) { excluded_ += taken; }

 private:
  const Millis timeout_;
  const Millis window_;
  const std::int64_t min_rate_;
  Millis excluded_{0};
  Millis last_byte_;
  std::int64_t bytes_ = 0;
  bool started_ = false;
  Millis window_start_{0};
  std::int64_t window_bytes_ = 0;  // bytes_ when the window began
};

}  // namespace weir
