#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

// Unix milliseconds as RFC 3339 in UTC, "2026-11-22T20:47:39.123Z" ("…39Z" when the milliseconds are 0).
std::string FormatTime(std::int64_t unix_ms);
// RFC 3339, a date ("2026-11-22" = its midnight UTC), or nothing.
std::optional<std::int64_t> ParseTime(std::string_view text);
// "1500ms", "90s", "9m", "2h", "1d"; a bare number is seconds.
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text);
// For people: "1.2s", "3m12s", "2h05m".
std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace weir
