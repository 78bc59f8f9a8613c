#include "tests/support/upstream/faults.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "tests/support/upstream/hash.h"

namespace weir::sim {
namespace {

using Json = nlohmann::json;
using Kind = Fault::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 15> kActions{
    {{"status", Kind::kStatus},
     {"html", Kind::kHtml},
     {"fake404", Kind::kFake404},
     {"truncate", Kind::kTruncate},
     {"reset", Kind::kReset},
     {"stall", Kind::kStall},
     {"trickle", Kind::kTrickle},
     {"gzip", Kind::kGzip},
     {"gzip_bomb", Kind::kGzipBomb},
     {"endless", Kind::kEndless},
     {"redirect", Kind::kRedirect},
     {"poison", Kind::kPoison},
     {"foreign_archive", Kind::kForeignArchive},
     {"repeat_page", Kind::kRepeatPage},
     {"content_type", Kind::kContentType}}};

// Whatever is not given keeps its default; a number may stand for a text (Retry-After).
void Read(const Json& json, const char* key, std::string& value) {
  if (!json.contains(key)) return;
  value = json[key].is_string() ? json[key].get<std::string>() : json[key].dump();
}
template <typename T>
void Read(const Json& json, const char* key, T& value) {
  if (json.contains(key)) value = json[key].get<T>();
}

Fault ReadFault(const Json& json, Kind kind) {
  Fault fault;
  fault.kind = kind;
  if (kind == Kind::kStall || kind == Kind::kReset) fault.after = -1;
  if (kind == Kind::kHtml) fault.status = 200;
  if (kind == Kind::kRedirect) fault.status = 302;
  Read(json, "status", fault.status);
  Read(json, "retry_after", fault.retry_after);
  Read(json, "body", fault.body);
  Read(json, "content_type", fault.content_type);
  Read(json, "location", fault.location);
  Read(json, "framing", fault.framing);
  Read(json, "with", fault.with);
  Read(json, "records", fault.records);
  Read(json, "after", fault.after);
  Read(json, "at", fault.at);
  Read(json, "bytes", fault.bytes);
  Read(json, "interval_ms", fault.interval_ms);
  Read(json, "amount", fault.amount);
  if (json.contains("headers")) {
    for (const auto& [name, value] : json["headers"].items())
      fault.headers.push_back({name, value.get<std::string>()});
  }
  return fault;
}

std::string CheckKeys(const Json& json) {
  static constexpr std::array<std::string_view, 24> kKnown{
      "match",        "regex",    "method", "skip",    "nth",     "every", "times",   "probability",
      "seed",         "action",   "status", "body",    "headers", "after", "framing", "retry_after",
      "content_type", "location", "with",   "records", "at",      "bytes", "amount",  "interval_ms"};
  for (const auto& [key, value] : json.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) return key;
  }
  return {};
}

}  // namespace

std::string HttpDate(std::int64_t unix_ms) {
  const std::time_t t = unix_ms / 1000;
  std::tm tm{};
  gmtime_r(&t, &tm);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &tm)};
}

bool Faults::Rule::Matches(std::string_view a_method, std::string_view target) const {
  if (!method.empty() && method != a_method) return false;
  if (target.find(match) == std::string_view::npos) return false;
  return !regex || std::regex_search(target.begin(), target.end(), *regex);
}

bool Faults::Rule::Fires() const {
  if (times > 0 && hits >= times) return false;
  const std::int64_t n = seen - skip;
  if (n <= 0 || (nth > 0 && n != nth) || (every > 0 && n % every != 0)) return false;
  if (probability >= 1) return true;
  return static_cast<double>(Mix(seed, static_cast<std::uint64_t>(n)) >> 11) * 0x1p-53 < probability;
}

Result<Faults::Rule> Faults::Parse(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (const std::string unknown = CheckKeys(json); !unknown.empty())
      return Fail(ErrorClass::kConfig, "a fault has no key \"" + unknown + '"');
    Rule rule;
    Read(json, "match", rule.match);
    Read(json, "method", rule.method);
    if (json.contains("regex")) rule.regex.emplace(json["regex"].get<std::string>());
    Read(json, "skip", rule.skip);
    Read(json, "nth", rule.nth);
    Read(json, "every", rule.every);
    Read(json, "times", rule.times);
    Read(json, "probability", rule.probability);
    Read(json, "seed", rule.seed);
    rule.action = json.at("action").get<std::string>();
    const auto known = std::find_if(kActions.begin(), kActions.end(),
                                    [&](const auto& entry) { return entry.first == rule.action; });
    if (known == kActions.end()) return Fail(ErrorClass::kConfig, "no such fault: " + rule.action);
    rule.fault = ReadFault(json, known->second);
    return rule;
  } catch (const std::exception& e) {  // from the JSON library and std::regex
    return Fail(ErrorClass::kConfig, fmt::format("not a fault: {}", e.what()));
  }
}

Result<void> Faults::Set(std::string_view text) {
  std::vector<Rule> rules;
  bool append = false;
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return Fail(ErrorClass::kConfig, "not a JSON object");
  const Json list = json.contains("rules") ? json["rules"] : Json::array({json});
  if (json.contains("rules")) append = json.value("append", false);
  for (const Json& one : list) {
    auto rule = Parse(one.dump());
    if (!rule) return Fail(rule.error());
    rules.push_back(std::move(*rule));
  }
  const std::lock_guard lock(mutex_);
  if (!append) rules_.clear();
  std::move(rules.begin(), rules.end(), std::back_inserter(rules_));
  return {};
}

void Faults::Clear() {
  const std::lock_guard lock(mutex_);
  rules_.clear();
  Release();
}

std::optional<Fault> Faults::For(std::string_view method, std::string_view target) {
  const std::lock_guard lock(mutex_);
  std::optional<Fault> fault;
  for (Rule& rule : rules_) {
    if (!rule.Matches(method, target)) continue;
    ++rule.seen;
    if (rule.first_target.empty()) rule.first_target = target;
    if (fault || !rule.Fires()) continue;
    ++rule.hits;
    fault = rule.fault;
    fault->repeat_target = rule.first_target;
  }
  return fault;
}

std::string Faults::Report() const {
  const std::lock_guard lock(mutex_);
  auto list = Json::array();
  for (const Rule& rule : rules_) {
    list.push_back(
        {{"action", rule.action}, {"match", rule.match}, {"seen", rule.seen}, {"hits", rule.hits}});
  }
  return list.dump();
}

std::int64_t Faults::Hits(std::string_view action) const {
  const std::lock_guard lock(mutex_);
  std::int64_t hits = 0;
  for (const Rule& rule : rules_) {
    if (action.empty() || rule.action == action) hits += rule.hits;
  }
  return hits;
}

}  // namespace weir::sim
