#include "common/sources/source_params.h"

#include <charconv>

#include "common/base/json_text.h"
#include "common/base/time_text.h"

namespace weir {
namespace {

tl::unexpected<Error> Wrong(const SourceInfo& info, std::string_view name, std::string_view value,
                            std::string_view wanted) {
  return Fail(ErrorClass::kConfig,
              "sources." + info.name + "." + std::string(name) + " is \"" + Printable(value, 64) + "\"",
              "it must be " + std::string(wanted));
}

}  // namespace

std::string_view ParamText(const SourceInfo& info, const AccountRef& account, std::string_view name) {
  if (const auto it = account.params.find(name); it != account.params.end()) return it->second;
  for (const auto& param : info.params) {
    if (param.name == name) return param.default_value;
  }
  return {};
}

Result<bool> ParamBool(const SourceInfo& info, const AccountRef& account, std::string_view name) {
  const std::string_view text = ParamText(info, account, name);
  if (text == "true") return true;
  if (text == "false") return false;
  return Wrong(info, name, text, "true or false");
}

Result<std::int64_t> ParamCount(const SourceInfo& info, const AccountRef& account, std::string_view name) {
  const std::string_view text = ParamText(info, account, name);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    return Wrong(info, name, text, "a whole number of at least 1");
  }
  return value;
}

Result<std::chrono::milliseconds> ParamDuration(const SourceInfo& info, const AccountRef& account,
                                                std::string_view name) {
  const std::string_view text = ParamText(info, account, name);
  if (const auto duration = ParseDuration(text)) return *duration;
  return Wrong(info, name, text, "a duration such as 60s or 5m");
}

}  // namespace weir
