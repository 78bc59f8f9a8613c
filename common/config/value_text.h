#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace weir {

// How configured values are written. Durations are read by ParseDuration (common/base/time_text.h).

// "512KiB", "1MiB", "2GB" (decimal), "4096" = bytes; nothing when it is no size or does not fit.
std::optional<std::int64_t> ParseSize(std::string_view text);
// Exact and readable back: "512KiB", "1000".
std::string FormatSize(std::int64_t bytes);
// Exact and readable back: "60s", "1500ms", "7d".
std::string FormatExactDuration(std::chrono::milliseconds duration);

// At most `requests` in any `per`.
struct QuotaRule {
  std::int64_t requests = 0;
  std::chrono::milliseconds per{0};
  friend bool operator==(const QuotaRule&, const QuotaRule&) = default;
};
// "100/10s, 200000/day"; "" = no rule. Units: those of ParseDuration and second, minute, hour, day. Errors:
// kConfig.
Result<std::vector<QuotaRule>> ParseQuota(std::string_view text);

std::string_view TrimSpace(std::string_view text);

}  // namespace weir
