#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

// Control characters in this file: C0, DEL and C1, those that steer the order of text (bidirectional marks,
// embeddings, overrides, isolates), and the line and paragraph separators. A terminal obeys them.

// Appends `text` to `out` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD: logs and
// errors may quote hostile input, and their readers must still be able to parse them. Control characters are
// escaped.
void AppendJsonString(std::string& out, std::string_view text);
// A JSON text with the same meaning that is safe to show: control characters escaped, bytes that are not
// UTF-8 as U+FFFD.
std::string ShowableJson(std::string_view json);
// The first `max` bytes of text from an upstream, cut at a character's edge, control characters and bytes
// that are not UTF-8 as '.': safe to show.
std::string Printable(std::string_view text, std::size_t max = 512);

}  // namespace weir
