#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/http/http_message.h"

namespace weir {

// One window of an upstream's limit, as an answer's headers tell it.
struct RateWindow {
  std::optional<std::int64_t> limit;                // requests in a window; > 0
  std::optional<std::int64_t> remaining;            // of them, after this request; ≥ 0
  std::optional<std::chrono::milliseconds> reset;   // from now until the window ends; > 0
  std::optional<std::chrono::milliseconds> window;  // its length; > 0
  friend bool operator==(const RateWindow&, const RateWindow&) = default;
};

// The windows that an answer tells of, at most kMaxRateWindows; only such as say what remains. Read are:
//   RateLimit: "name";r=50;t=30 with RateLimit-Policy: "name";q=100;w=60 (draft 10), and their older form
//     RateLimit: limit=100, remaining=50, reset=30
//   RateLimit-Limit/-Remaining/-Reset, also with X- and as X-Rate-Limit-…; a reset is seconds from now, Unix
//     seconds or milliseconds by its size, or an HTTP date; -Reset-After is seconds from now
//   …-Daily/-Day/-Hour/-Minute/-Second on either side of Limit or Remaining (HighLevel's
//   X-RateLimit-Limit-Daily
//     and X-RateLimit-Daily-Remaining, Kong's X-RateLimit-Remaining-Minute), X-RateLimit-Max,
//     X-RateLimit-Interval-Milliseconds
// Other units than requests, garbage, negative numbers and a reset that has passed are as if they were not
// there; a time above 366 days is cut to that.
inline constexpr std::size_t kMaxRateWindows = 8;
std::vector<RateWindow> ParseRateLimits(const HttpResponseHead& head, std::int64_t now_ms);

}  // namespace weir
