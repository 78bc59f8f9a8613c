#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

// Keeps a loop that fails again and again from filling the disk with one line: of each message so many lines
// in a window are let through, and the rest are counted. Messages are told apart by their text alone, and of
// texts without end (a client library's) those beyond `messages` at a time count as one. Thread-safe; time is
// the caller's.
class LogLimiter {
 public:
  using Millis = std::chrono::milliseconds;
  struct Limits {
    int lines = 20;
    Millis window{10'000};
    std::size_t messages = 128;
  };
  struct Repeated {
    std::string message;
    std::int64_t times = 0;
  };

  LogLimiter() = default;
  explicit LogLimiter(Limits limits) : limits_(limits) {}

  // Whether the line may be written.
  bool Admit(std::string_view message, Millis now);
  // What was held back in windows that have ended since the last call, to be written now.
  std::vector<Repeated> TakeRepeated(Millis now);

 private:
  struct Window {
    Millis ends{0};
    int written = 0;
    std::int64_t held = 0;
  };

  const Limits limits_{};
  std::mutex mutex_;
  // All guarded by mutex_.
  std::map<std::string, Window, std::less<>> windows_;
  Millis next_end_{Millis::max()};  // of them
};

}  // namespace weir
