#include "common/config/inherited_settings.h"

#include <charconv>
#include <string_view>

namespace weir {

std::string PackSettings(const std::vector<std::string>& settings) {
  std::string packed;
  for (const std::string& setting : settings) packed += std::to_string(setting.size()) + ":" + setting;
  return packed;
}

std::vector<std::string> InheritedSettings(const std::map<std::string, std::string>& env) {
  std::vector<std::string> settings;
  const auto found = env.find(kInheritedSettings);
  std::string_view rest = found == env.end() ? std::string_view() : found->second;
  while (!rest.empty()) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), size);
    const auto head = static_cast<std::size_t>(end - rest.data());
    if (error != std::errc() || head == rest.size() || *end != ':' || size > rest.size() - head - 1) break;
    settings.emplace_back(rest.substr(head + 1, size));
    rest.remove_prefix(head + 1 + size);
  }
  return settings;
}

}  // namespace weir
