#include "common/sources/json_string.h"

#include <cstdint>

namespace weir {
namespace {

std::uint32_t HexValue(char c) {
  if (c <= '9') return static_cast<std::uint32_t>(c - '0');
  return static_cast<std::uint32_t>((c | 0x20) - 'a' + 10);
}

std::uint32_t Hex4(std::string_view s) {
  return HexValue(s[0]) << 12 | HexValue(s[1]) << 8 | HexValue(s[2]) << 4 | HexValue(s[3]);
}

void AppendUtf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

// Appends what `s`, which begins with "u", stands for; returns how many bytes it took.
std::size_t AppendUnicodeEscape(std::string& out, std::string_view s) {
  const std::uint32_t first = Hex4(s.substr(1));
  if (first < 0xD800 || first > 0xDFFF) {
    AppendUtf8(out, first);
    return 5;
  }
  const std::uint32_t second = Hex4(s.substr(7));  // after "uXXXX\u"
  AppendUtf8(out, 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
  return 11;
}

char Simple(char escape) {
  switch (escape) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return escape;  // " \ /
  }
}

}  // namespace

void AppendUnescaped(std::string& out, std::string_view inner) {
  while (true) {
    const auto backslash = inner.find('\\');
    out.append(inner.substr(0, backslash));
    if (backslash == std::string_view::npos) return;
    inner.remove_prefix(backslash + 1);
    if (inner.front() == 'u') {
      inner.remove_prefix(AppendUnicodeEscape(out, inner));
    } else {
      out += Simple(inner.front());
      inner.remove_prefix(1);
    }
  }
}

}  // namespace weir
