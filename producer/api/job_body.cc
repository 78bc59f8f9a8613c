#include "producer/api/job_body.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "common/base/json_text.h"
#include "common/config/nearest.h"

namespace weir::api {
namespace {

using Json = nlohmann::json;

constexpr int kMostDepth = 2;  // an object with a list in it
constexpr std::int64_t kMostLimit = 1'000'000'000'000;

const std::vector<std::string>& Fields() {
  static const std::vector<std::string> fields{"source", "stream", "accounts", "mode",    "since",
                                               "until",  "limit",  "priority", "deadline"};
  return fields;
}

tl::unexpected<Error> Wrong(std::string_view field, std::string_view what) {
  return Fail(ErrorClass::kConfig, fmt::format("{} must be {}", field, what));
}

// An object without a field twice, and nothing deep in it: what is deeper is never built.
Result<Json> ParseObject(std::string_view body) {
  bool deep = false;
  std::set<std::string> keys;
  std::string twice;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= kMostDepth) {
      deep = true;
      return false;
    }
    if (event == Json::parse_event_t::key && depth == 1 && !keys.insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  Json json = Json::parse(body.begin(), body.end(), watch, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return Fail(ErrorClass::kInvalid, "the body is not JSON",
                R"(send an object, e.g. {"source": "lichess", "accounts": ["DrNykterstein"]})");
  }
  if (!json.is_object()) return Fail(ErrorClass::kConfig, "the body is JSON, but no object");
  if (deep) return Fail(ErrorClass::kConfig, "the body is nested deeper than any field of it");
  if (!twice.empty())
    return Fail(ErrorClass::kConfig, fmt::format("\"{}\" stands there twice", Printable(twice, 60)));
  return json;
}

Result<void> ReadText(const Json& json, const char* field, std::string& into) {
  const auto found = json.find(field);
  if (found == json.end()) return {};
  if (!found->is_string()) return Wrong(field, "a text");
  into = found->get<std::string>();
  return {};
}

Result<void> ReadChoice(const Json& json, const char* field, const std::vector<std::string>& choices,
                        std::string& into) {
  if (!json.contains(field)) return {};
  if (auto read = ReadText(json, field, into); !read) return read;
  std::string all;
  for (const std::string& choice : choices) {
    if (into == choice) return {};
    all += (all.empty() ? "" : " or ") + choice;
  }
  return Wrong(field, all);
}

Result<void> ReadAccounts(const Json& json, cli::SyncFlags& flags) {
  const auto found = json.find("accounts");
  if (found == json.end() || !found->is_array() || found->empty())
    return Wrong("accounts", "a list of one name or more");
  for (const Json& name : *found) {
    if (!name.is_string()) return Wrong("accounts", "a list of texts");
    // On the command line a comma parts names; here each stands for itself.
    if (name.get_ref<const std::string&>().find(',') != std::string::npos)
      return Wrong("accounts", "a list with one name in each text");
    flags.accounts.push_back(name.get<std::string>());
  }
  return {};
}

Result<void> ReadNumbers(const Json& json, cli::SyncFlags& flags) {
  if (const auto limit = json.find("limit"); limit != json.end()) {
    const bool whole = limit->is_number_unsigned() && limit->get<std::uint64_t>() >= 1 &&
                       limit->get<std::uint64_t>() <= static_cast<std::uint64_t>(kMostLimit);
    if (!whole) return Wrong("limit", fmt::format("a whole number, 1 to {}", kMostLimit));
    flags.limit = limit->get<std::int64_t>();
  }
  const auto deadline = json.find("deadline");
  if (deadline == json.end()) return {};
  if (deadline->is_number_unsigned()) {
    flags.deadline = std::to_string(deadline->get<std::uint64_t>());
    return {};
  }
  return ReadText(json, "deadline", flags.deadline);
}

Result<cli::SyncFlags> ReadFlags(const Json& json) {
  for (const auto& [field, value] : json.items()) {
    if (std::find(Fields().begin(), Fields().end(), field) != Fields().end()) continue;
    std::string all;
    for (const std::string& known : Fields()) all += (all.empty() ? "it may have " : ", ") + known;
    return Fail(ErrorClass::kConfig, fmt::format("unknown field \"{}\"", Printable(field, 60)),
                DidYouMean(field, Fields(), all));
  }
  cli::SyncFlags flags;
  flags.dashes.clear();
  std::string source, stream;
  auto read = ReadText(json, "source", source);
  if (read) read = ReadText(json, "stream", stream);
  if (read) read = ReadChoice(json, "mode", {"full", "incremental"}, flags.mode);
  if (read) read = ReadChoice(json, "priority", {"bulk", "interactive"}, flags.priority);
  if (read) read = ReadText(json, "since", flags.since);
  if (read) read = ReadText(json, "until", flags.until);
  if (read) read = ReadNumbers(json, flags);
  if (read && source.empty()) return Wrong("source", "the name of one; `weir sources list` shows them");
  if (read) read = ReadAccounts(json, flags);
  if (!read) return tl::unexpected(read.error());
  flags.target = stream.empty() ? source : source + "/" + stream;
  return flags;
}

}  // namespace

Result<cli::SyncOptions> ParseJobBody(std::string_view body) {
  auto json = ParseObject(body);
  if (!json) return tl::unexpected(json.error());
  auto flags = ReadFlags(*json);
  if (!flags) return tl::unexpected(flags.error());
  return cli::ParseSyncFlags(*flags);
}

}  // namespace weir::api
