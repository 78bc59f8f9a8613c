#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

// Appends `text` to `out` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD: logs and
// errors may quote hostile input, and their readers must still be able to parse them.
void AppendJsonString(std::string& out, std::string_view text);
// The first `max` bytes of text from an upstream, cut at a character's edge, control characters as '.': safe
// to show.
std::string Printable(std::string_view text, std::size_t max = 512);

}  // namespace weir
