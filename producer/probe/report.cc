#include "producer/probe/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "producer/cli/exit_code.h"

namespace weir::probe {

nlohmann::ordered_json ErrorJson(const Error& error) {
  nlohmann::ordered_json json{{"class", ToString(error.error_class)}, {"http_status", nullptr}};
  if (error.http_status != 0) json["http_status"] = error.http_status;
  json["message"] = error.message;
  json["hint"] = error.hint;
  return json;
}

void PrintAccountError(const cli::Io& io, std::string_view account, const Error& error) {
  Error named = error;
  named.message = std::string(account) + ": " + error.message;
  cli::PrintError(io, named);
}

int ExitCodeOf(const std::vector<std::optional<Error>>& all) {
  const auto failed = std::count_if(all.begin(), all.end(), [](const auto& e) { return e.has_value(); });
  if (failed == 0) return cli::kOk;
  if (failed < static_cast<std::ptrdiff_t>(all.size())) return cli::kNotWhole;
  const ErrorClass first = all.front()->error_class;
  const bool same =
      std::all_of(all.begin(), all.end(), [&](const auto& e) { return e->error_class == first; });
  return same ? cli::ExitCodeOf(first) : cli::kFailed;
}

}  // namespace weir::probe
