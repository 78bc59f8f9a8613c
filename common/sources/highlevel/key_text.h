#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::highlevel {

// The parts of a selector's key, "s;1;2;abc", each a view into it.
inline std::vector<std::string_view> KeyParts(std::string_view key) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = key.find(';');
    parts.push_back(key.substr(0, end));
    if (end == std::string_view::npos) return parts;
    key.remove_prefix(end + 1);
  }
}

inline std::optional<std::int64_t> KeyNumber(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

inline std::string KeyPart(std::optional<std::int64_t> value) {
  return value ? std::to_string(*value) : std::string();
}

}  // namespace weir::highlevel
