#include "producer/probe/check.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/http/origin.h"
#include "producer/probe/report.h"

namespace weir::probe {
namespace {

using nlohmann::ordered_json;

// The name under which Config has it, if it has.
const AccountConfig* Configured(const Config& config, const std::string& source, const std::string& name) {
  for (const Source* one : AllSources()) {
    if (!source.empty() && one->Info().name != source) continue;
    if (const AccountConfig* account = FindAccount(config, one->Info().name, name)) return account;
  }
  return nullptr;
}

std::string What(const CheckLine& line) {
  if (line.error) return line.error->message;
  if (!line.target.configured) return "answers";
  return line.has_token ? "answers, accepts the token" : "answers, knows the account";
}

}  // namespace

Result<std::vector<CheckTarget>> CheckTargets(const Config& config, const cli::CheckOptions& options) {
  std::vector<CheckTarget> targets;
  if (options.account) {
    const AccountConfig* account = Configured(config, options.source, *options.account);
    const std::string source = account != nullptr ? account->source : options.source;
    if (source.empty()) {
      return Fail(ErrorClass::kNotFound,
                  fmt::format("no account \"{}\" is configured", Printable(*options.account, 60)),
                  "name its source too, e.g. weir sources check lichess --account NAME");
    }
    targets.push_back({FindSource(source), account != nullptr ? account->name : *options.account, true});
    return targets;
  }
  for (const Source* source : AllSources()) {
    const std::string& name = source->Info().name;
    if (!options.source.empty() && options.source != name) continue;
    const auto before = targets.size();
    for (const AccountConfig& account : config.accounts) {
      if (account.source == name) targets.push_back({source, account.name, true});
    }
    if (targets.size() == before && !source->Info().check_account.empty())
      targets.push_back({source, source->Info().check_account, false});
  }
  return targets;
}

Result<CheckLine> CheckOne(Prober& prober, const AccountBook& accounts, const CheckTarget& target) {
  CheckLine line;
  line.target = target;
  auto account = accounts.Resolve(*target.source, target.account);
  if (!account) {
    line.error = account.error();
    return line;
  }
  line.has_token = account->account.has_token;
  auto context = DiscoverContext(*account, target.source->Info().streams.front().name);
  auto document = prober.Discover(*target.source, *account, context);
  if (!document && document.error().error_class == ErrorClass::kStopped) return Fail(document.error());
  line.round_trip = prober.RoundTrip();
  if (document) {
    context.now_ms = document->now_ms;
    const auto ignore = [](NewTask) -> Result<void> { return {}; };
    if (auto read = target.source->Plan(context, {}, document->document, ignore); !read)
      line.error = read.error();
  } else {
    line.error = document.error();
  }
  // An upstream that says that it has no such account has answered.
  if (line.error && line.error->error_class == ErrorClass::kGone && !target.configured) line.error.reset();
  if (line.error && line.error->error_class == ErrorClass::kTransient && line.error->hint.empty()) {
    line.error->hint = "is " + HostOf(account->base_url) + " reachable from this machine?";
  }
  return line;
}

ordered_json ChecksJson(const std::vector<CheckLine>& lines) {
  ordered_json array = ordered_json::array();
  for (const CheckLine& line : lines) {
    ordered_json object{{"source", line.target.source->Info().name},
                        {"account", nullptr},
                        {"state", line.error ? "fail" : "ok"},
                        {"token", line.has_token},
                        {"milliseconds", nullptr},
                        {"error", nullptr}};
    if (line.target.configured) object["account"] = line.target.account;
    if (line.round_trip) object["milliseconds"] = line.round_trip->count();
    if (line.error) object["error"] = ErrorJson(*line.error);
    array.push_back(std::move(object));
  }
  return array;
}

void PrintChecks(const cli::Io& io, const std::vector<CheckLine>& lines) {
  cli::Table table({{"SOURCE"}, {"ACCOUNT"}, {"STATE"}, {"TIME", true}, {"WHAT"}, {"HINT"}});
  for (const CheckLine& line : lines) {
    const std::string state = line.error ? "fail" : "ok";
    table.AddRow({line.target.source->Info().name,
                  line.target.configured ? line.target.account : "-",
                  {state, cli::StateColour(state)},
                  line.round_trip ? FormatDuration(*line.round_trip) : "-",
                  What(line),
                  line.error ? line.error->hint : ""});
  }
  table.Print(*io.out, io.out_colour);
}

}  // namespace weir::probe
