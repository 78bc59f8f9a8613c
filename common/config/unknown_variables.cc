#include "common/config/unknown_variables.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "common/base/json_text.h"
#include "common/config/config_file.h"
#include "common/config/inherited_settings.h"
#include "common/config/nearest.h"
#include "common/config/settings_table.h"
#include "common/sources/source.h"

namespace weir {
namespace {

constexpr std::string_view kPrefix = "WEIR_";
constexpr std::string_view kReference = "env:";
// Read by the programs, and no settings.
constexpr std::array<std::string_view, 6> kOthers = {"WEIR_CONFIG",       "WEIR_ENCRYPTION_KEY",
                                                     "WEIR_WORKER_ID",    "WEIR_WORKER_INCARNATION",
                                                     "WEIR_WORKER_PEERS", kInheritedSettings};
// ./dev, .ci and the tests have these in the environment of the programs that they start.
constexpr std::array<std::string_view, 6> kDevelopment = {"WEIR_PRESET",     "WEIR_JOBS",
                                                          "WEIR_SKIP_SETUP", "WEIR_REQUIRE_KAFKA",
                                                          "WEIR_NARROW_MAP", "WEIR_WITHOUT_KAFKA"};
constexpr std::array<std::string_view, 6> kDevelopmentPrefixes = {
    "WEIR_TEST_", "WEIR_E2E_", "WEIR_BENCH_", "WEIR_FAULT_", "WEIR_BIN_", "WEIR_KAFKA_PROPERTIES_"};

bool IsDevelopment(std::string_view name) {
  return std::find(kDevelopment.begin(), kDevelopment.end(), name) != kDevelopment.end() ||
         std::any_of(kDevelopmentPrefixes.begin(), kDevelopmentPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// The variables whose contents are secrets of this configuration, whatever their names.
std::set<std::string> Referred(const Config& config) {
  std::set<std::string> names;
  const auto add = [&](const std::string& value) {
    if (value.starts_with(kReference)) names.insert(value.substr(kReference.size()));
  };
  for (const auto& [key, setting] : config.settings) add(setting.value);
  for (const AccountConfig& account : config.accounts) {
    for (const auto& [name, reference] : account.secret_refs) add(reference);
  }
  return names;
}

}  // namespace

std::vector<std::string> UnknownVariables(const ConfigInputs& inputs, const Config& config) {
  std::vector<std::string> known(kOthers.begin(), kOthers.end());
  for (const SettingSpec& spec : SettingsTable(AllSources())) {
    for (const std::string& name : spec.env) known.push_back(name);
  }
  const std::set<std::string> referred = Referred(config);
  std::vector<std::string> lines;
  for (const auto& [name, value] : inputs.env) {
    if (!name.starts_with(kPrefix) || value.empty() || IsDevelopment(name) || referred.contains(name))
      continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    lines.push_back(fmt::format("the environment variable {} is no setting of weir: {}", Printable(name, 100),
                                DidYouMean(name, known, "`weir config show` lists the settings")));
  }
  return lines;
}

}  // namespace weir
