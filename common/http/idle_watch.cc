#include "common/http/idle_watch.h"

namespace weir {

IdleWatch::State IdleWatch::Update(std::int64_t total_bytes, Millis now) {
  now -= excluded_;
  if (total_bytes > bytes_) {
    if (!started_) {
      started_ = true;
      window_start_ = now;
    }
    bytes_ = total_bytes;
    last_byte_ = now;
  } else if (now - last_byte_ >= timeout_) {
    return State::kSilent;
  }
  if (!started_ || now - window_start_ < window_) return State::kAlive;
  const std::int64_t wanted = min_rate_ * (now - window_start_).count() / 1000;
  const bool slow = bytes_ - window_bytes_ < wanted;
  window_start_ = now;
  window_bytes_ = bytes_;
  return slow ? State::kSlow : State::kAlive;
}

}  // namespace weir
