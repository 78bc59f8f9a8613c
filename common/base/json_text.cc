#include "common/base/json_text.h"

#include <algorithm>

namespace weir {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the well-formed UTF-8 sequence at the start of `s`, 0 if there is none (RFC 3629, table 3-7 of
// Unicode).
std::size_t SequenceLength(std::string_view s) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto tail = [&](std::size_t i) { return i < s.size() && (at(i) & 0xC0) == 0x80; };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return tail(1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if (c == 0xE0 && at(1) < 0xA0) return 0;
    if (c == 0xED && at(1) > 0x9F) return 0;
    return 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (c == 0xF0 && at(1) < 0x90) return 0;
    if (c == 0xF4 && at(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

// Characters that a terminal obeys or that change the order of what stands around them, and so do not show
// what they are: C0, DEL and C1, the marks, embeddings, overrides and isolates of the bidirectional
// algorithm, line and paragraph separator. `sequence` is one well-formed UTF-8 sequence.
bool IsControl(std::string_view sequence) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
  if (sequence.size() == 1) return at(0) < 0x20 || at(0) == 0x7F;
  if (sequence.size() == 2) {
    return (at(0) == 0xC2 && at(1) < 0xA0) ||  // U+0080 to U+009F
           (at(0) == 0xD8 && at(1) == 0x9C);   // U+061C
  }
  if (sequence.size() != 3 || at(0) != 0xE2) return false;
  if (at(1) == 0x80) {
    return at(2) == 0x8E || at(2) == 0x8F ||  // U+200E, U+200F
           (at(2) >= 0xA8 && at(2) <= 0xAE);  // U+2028 to U+202E
  }
  return at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9;  // U+2066 to U+2069
}

constexpr char kHex[] = "0123456789abcdef";

// One character of at most three bytes as \uXXXX.
void AppendCodeEscape(std::string& out, std::string_view sequence) {
  const auto tail = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]) & 0x3Fu; };
  const auto first = static_cast<unsigned char>(sequence[0]);
  const unsigned code = sequence.size() == 1   ? first
                        : sequence.size() == 2 ? (first & 0x1Fu) << 6 | tail(1)
                                               : (first & 0x0Fu) << 12 | tail(1) << 6 | tail(2);
  out += "\\u";
  for (const unsigned shift : {12u, 8u, 4u, 0u}) out += kHex[code >> shift & 15u];
}

void AppendEscaped(std::string& out, std::string_view sequence) {
  switch (sequence[0]) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  AppendCodeEscape(out, sequence);
}

}  // namespace

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t length = SequenceLength(text);
    if (length == 0) {
      out += kReplacement;
      text.remove_prefix(1);
      continue;
    }
    const std::string_view sequence = text.substr(0, length);
    if (sequence == "\"" || sequence == "\\" || IsControl(sequence)) {
      AppendEscaped(out, sequence);
    } else {
      out.append(sequence);
    }
    text.remove_prefix(length);
  }
  out += '"';
}

std::string ShowableJson(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const std::size_t length = SequenceLength(json);
    const std::string_view sequence = json.substr(0, std::max<std::size_t>(length, 1));
    // Below U+0020 JSON has only its own blanks and line ends.
    const bool blank = sequence == "\n" || sequence == "\r" || sequence == "\t";
    if (length == 0) {
      out += kReplacement;
    } else if (IsControl(sequence) && !blank) {
      AppendCodeEscape(out, sequence);
    } else {
      out.append(sequence);
    }
    json.remove_prefix(sequence.size());
  }
  return out;
}

std::string Printable(std::string_view text, std::size_t max) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = SequenceLength(text);
    const bool shown = length > 0 && !IsControl(text.substr(0, length));
    const std::string_view piece = shown ? text.substr(0, length) : std::string_view(".");
    if (out.size() + piece.size() > max) break;
    out.append(piece);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

}  // namespace weir
