#include "common/config/account_settings.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "common/base/json_text.h"
#include "common/config/account_book.h"
#include "common/config/config_loader.h"
#include "common/config/value_text.h"
#include "common/config/version.h"

namespace weir {
namespace {

constexpr char kToken[] = "token";
constexpr char kRefreshToken[] = "refresh_token";

Params MergedParams(const SourceInfo& info, const SourceConfig* of_source, const AccountConfig* of_account) {
  Params params;
  for (const SourceInfo::Param& param : info.params) params[param.name] = param.default_value;
  if (of_source != nullptr) {
    for (const auto& [name, value] : of_source->params) params[name] = value;
  }
  if (of_account != nullptr) {
    for (const auto& [name, value] : of_account->params) params[name] = value;
  }
  return params;
}

// Tokens that are renewed need all that a renewal does, before anything is asked.
Result<void> CheckRenewal(const Config& config, const Source& source, std::string_view name,
                          const std::map<std::string, Secret>& secrets) {
  const std::string account = fmt::format("account {} of {}", Printable(name, 60), source.Info().name);
  if (secrets.contains(kToken)) {
    return Fail(ErrorClass::kConfig, account + " has both a token and a refresh_token",
                "leave one of them out: a token is used as it is, a refresh_token is renewed");
  }
  if (config.encryption_key.empty()) {
    return Fail(
        ErrorClass::kConfig,
        account +
            " has a refresh_token, and WEIR_ENCRYPTION_KEY is not set: refresh tokens are kept in the "
            "database, encrypted only",
        "make a key and set it for every producer and worker: openssl rand -base64 32");
  }
  auto request = source.RenewRequest(secrets, secrets.at(kRefreshToken));
  if (request) return {};
  Error e = std::move(request.error());
  e.message = account + ": " + e.message;
  return tl::unexpected(std::move(e));
}

const SourceConfig* FindSourceConfig(const Config& config, const std::string& name) {
  const auto found = config.sources.find(name);
  return found == config.sources.end() ? nullptr : &found->second;
}

// Appends a line when lanes are cut. `whose`: "sources.crm", "account anna of crm".
void SayCut(const std::string& whose, const MeterWords& words, std::vector<std::string>& lines) {
  const int within = words.LanesWithinQuota();
  if (within == words.lanes) return;
  lines.push_back(fmt::format("{}: of {} lanes {} {} used: the quota {} has no more requests to share out",
                              whose, words.lanes, within, within == 1 ? "is" : "are", words.quota));
}

}  // namespace

// Each lane has its share of the quota, at least one request: more lanes than that would overrun it.
int MeterWords::LanesWithinQuota() const {
  std::int64_t within = lanes;
  const auto rules = ParseQuota(quota);
  if (!rules) return lanes;
  for (const QuotaRule& rule : *rules) within = std::min(within, rule.requests);
  return static_cast<int>(within);
}

MeterWords WordsOfSource(const Config& config, const SourceInfo& info) {
  MeterWords words{info.lanes, info.quota};
  if (const SourceConfig* configured = FindSourceConfig(config, info.name)) {
    words.lanes = configured->lanes.value_or(info.lanes);
    words.quota = configured->quota.value_or(info.quota);
  }
  return words;
}

std::string ComparableMeter(const Config& config, const Source& source, const AccountConfig& account) {
  if (account.meter) return *account.meter;
  AccountRef ref{account.name, account.name, {}, account.secret_refs.contains(kToken)};
  ref.params = MergedParams(source.Info(), FindSourceConfig(config, source.Info().name), &account);
  const auto reference = account.secret_refs.find(kToken);
  return source.Meter(ref, reference == account.secret_refs.end() ? Secret() : Secret(reference->second));
}

namespace {

// What is configured of the account, merged; without its secrets, and with the meter of one that has none.
Result<AccountSettings> MergedSettings(const Config& config, const Source& source, std::string_view name,
                                       const AccountConfig& account) {
  const SourceInfo& info = source.Info();
  for (const auto& [param, value] : account.params) {
    const bool known = std::any_of(info.params.begin(), info.params.end(),
                                   [&wanted = param](const auto& p) { return p.name == wanted; });
    if (!known) {
      return Fail(ErrorClass::kConfig, fmt::format("account {}: {} has no param \"{}\"", Printable(name, 60),
                                                   info.name, Printable(param, 60)));
    }
  }
  const SourceConfig* of_source = FindSourceConfig(config, info.name);
  AccountSettings settings;
  settings.account = {std::string(name), std::string(name), MergedParams(info, of_source, &account), false};
  settings.base_url = of_source != nullptr ? of_source->base_url.value_or(info.base_url) : info.base_url;
  settings.user_agent = DefaultUserAgent(info.name);
  if (of_source != nullptr && of_source->user_agent) settings.user_agent = *of_source->user_agent;
  settings.retry_after_floor = info.retry_after_floor;
  if (of_source != nullptr && of_source->retry_after_floor)
    settings.retry_after_floor = *of_source->retry_after_floor;
  return settings;
}

// Errors: kConfig, when the secrets are not ones that an account can have together.
Result<void> CheckSecrets(const Config& config, const Source& source, std::string_view name,
                          const std::map<std::string, Secret>& secrets) {
  if (secrets.contains(kRefreshToken)) return CheckRenewal(config, source, name, secrets);
  if (secrets.empty() || secrets.contains(kToken)) return {};
  return Fail(ErrorClass::kConfig,
              fmt::format("account {} of {} has a {} and no {}", Printable(name, 60), source.Info().name,
                          secrets.begin()->first, kRefreshToken),
              "a token that is renewed wants a refresh_token beside it; another one is given as token");
}

}  // namespace

Result<AccountSettings> SettingsOf(const Config& config, const Source& source, std::string_view name,
                                   const AccountConfig& account) {
  auto secrets = ResolveSecrets(account);
  if (!secrets) return tl::unexpected(secrets.error());
  auto settings = MergedSettings(config, source, name, account);
  if (!settings) return settings;
  if (auto fit = CheckSecrets(config, source, name, *secrets); !fit) return tl::unexpected(fit.error());
  settings->secrets = std::move(*secrets);
  settings->account.has_token =
      settings->secrets.contains(kToken) || settings->secrets.contains(kRefreshToken);
  const auto token = settings->secrets.find(kToken);
  settings->meter = account.meter ? *account.meter
                                  : source.Meter(settings->account,
                                                 token == settings->secrets.end() ? Secret() : token->second);
  return settings;
}

Result<AccountSettings> ResolveAccount(const Config& config, const Source& source, std::string_view name) {
  return AccountBook(config).Resolve(source, name);
}

std::vector<std::string> LanesOverQuota(const Config& config, const std::vector<const Source*>& sources) {
  std::vector<std::string> lines;
  const AccountBook book(config);
  for (const Source* source : sources) {
    const std::string& name = source->Info().name;
    SayCut("sources." + name, WordsOfSource(config, source->Info()), lines);
    std::set<std::string> said;  // meters
    for (const AccountConfig& account : config.accounts) {
      if (account.source != name || (!account.lanes && !account.quota)) continue;
      if (!said.insert(ComparableMeter(config, *source, account)).second) continue;
      SayCut(fmt::format("account {} of {}", Printable(account.name, 60), name), book.Words(*source, account),
             lines);
    }
  }
  return lines;
}

}  // namespace weir
