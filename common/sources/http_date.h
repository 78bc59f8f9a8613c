#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

// An HTTP date (RFC 9110 §5.6.7) in any of its three forms, as Unix milliseconds. `now_ms` decides the
// century of the form with two digits of the year: never more than 50 years ahead.
std::optional<std::int64_t> ParseHttpDate(std::string_view text, std::int64_t now_ms);

}  // namespace weir
