#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/sources/source.h"

namespace weir {

// The one table of settings. Parsing, `config show`, the JSON Schema and the commented example all come from
// it, so that none of them can differ.

using SourceList = std::vector<const Source*>;

enum class SettingType {
  kText,
  kInteger,
  kDecimal,
  kSize,
  kDuration,
  kChoice,
  kUrl,          // http or https, without a query
  kDatabaseUrl,  // secret
  kBrokers,
  kTopicPrefix,
  kAddress,
  kPath,
  kQuota,
  kHeader,  // text that can stand in an HTTP header
};

// A value that was read and found good.
struct SettingValue {
  std::string text;
  std::int64_t number = 0;  // kInteger, kDecimal (thousandths), kSize (bytes), kDuration (milliseconds)
};

struct SettingSpec {
  std::string key;  // dotted
  SettingType type = SettingType::kText;
  std::vector<std::string> env;  // variables that set it, the first that is set wins
  std::string default_text;
  std::string help;                  // one line
  std::int64_t min = 0, max = 0;     // kInteger, kDecimal, kSize, kDuration, inclusive
  std::vector<std::string> choices;  // kChoice
  std::function<void(Config&, const SettingValue&)> store;
};

// Every setting, in the order shown: the fixed ones, then those of each source.
std::vector<SettingSpec> SettingsTable(const SourceList& sources);

// Checks one value. Errors: kConfig without the place; the hint says what is allowed. A database url is never
// quoted.
Result<SettingValue> ParseSetting(const SettingSpec& spec, std::string_view text);
// "1 to 10000", "one of a, b", … ; "" when anything goes.
std::string AllowedValues(const SettingSpec& spec);

// The settings that an account may have beside its name: meter, lanes, quota. `store` is not set.
std::vector<SettingSpec> AccountSettingSpecs();

// "batch.records" → "WEIR_BATCH_RECORDS".
std::string EnvironmentName(std::string_view key);
inline constexpr std::string_view kKafkaProperties = "kafka.properties.";

}  // namespace weir
