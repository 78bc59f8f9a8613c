#pragma once

#include <chrono>
#include <optional>

namespace weir::kafka {

// Tells that the machine's wall clock was set back. librdkafka's threads wait for times of that clock (seen
// with 2.0.2): set back by a day while they wait, they sleep for a day, and with them heartbeats, commits and
// connecting, unless something is sent to them. A client that was there before is of no more use. One
// thread's.
class ClockWatch {
 public:
  using Millis = std::chrono::milliseconds;

  // True if it lost more than a second against the steady clock since the last call. What is less holds
  // nobody up for long, and a clock that is slowed down to be put right loses less.
  bool SetBack(Millis wall, Millis steady) {
    const Millis ahead = wall - steady;
    const bool back = ahead_ && ahead < *ahead_ - Millis(1'000);
    ahead_ = ahead;
    return back;
  }
  bool SetBack() {
    const auto millis = [](auto time) { return std::chrono::duration_cast<Millis>(time.time_since_epoch()); };
    return SetBack(millis(std::chrono::system_clock::now()), millis(std::chrono::steady_clock::now()));
  }

 private:
  std::optional<Millis> ahead_;
};

}  // namespace weir::kafka
