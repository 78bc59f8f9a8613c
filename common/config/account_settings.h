#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/config/config.h"
#include "common/sources/source.h"

namespace weir {

// An account's settings merged: source default < sources.<name> < account. One place, so that the command
// line and the workers agree.
struct AccountSettings {
  AccountRef account;  // name as given, canonical = name, params merged, has_token
  std::string key;     // Source::AccountKey(name)
  std::string base_url;
  std::string user_agent;
  std::string meter;  // as configured, else the source's choice
  int lanes = 1;
  std::string quota;
  std::chrono::milliseconds retry_after_floor{0};
  std::map<std::string, Secret> secrets;
  bool configured = false;  // the account stands in the file
};

// One account; who asks for many keeps an AccountBook. Errors: kConfig (a name the upstream cannot have, a
// secret that cannot be read, an unknown param).
Result<AccountSettings> ResolveAccount(const Config& config, const Source& source, std::string_view name);

// What is configured of a meter.
struct MeterWords {
  int lanes = 1;
  std::string quota;

  // As many lanes as the quota has requests for.
  int LanesWithinQuota() const;
};
MeterWords WordsOfSource(const Config& config, const SourceInfo& info);

// The account's settings with its secrets, but for key, lanes and quota, which are not its own. `name` is how
// it is spelled now. Reads the secrets. Errors: kConfig.
Result<AccountSettings> SettingsOf(const Config& config, const Source& source, std::string_view name,
                                   const AccountConfig& account);

// A line for each meter of which more lanes are wanted than its quota has requests for: ResolveAccount gives
// as many as it has.
std::vector<std::string> LanesOverQuota(const Config& config, const std::vector<const Source*>& sources);

}  // namespace weir
