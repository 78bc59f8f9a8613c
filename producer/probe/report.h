#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/error.h"
#include "producer/cli/output.h"

namespace weir::probe {

// {"class", "http_status" (null: none was had), "message", "hint"}.
nlohmann::ordered_json ErrorJson(const Error& error);
// "error: ACCOUNT: what" and its hint.
void PrintAccountError(const cli::Io& io, std::string_view account, const Error& error);
// How many of `all` accounts failed, and why, as an exit code: 0, 3 when others did not, else the reason's
// own when it is the same for all.
int ExitCodeOf(const std::vector<std::optional<Error>>& all);

}  // namespace weir::probe
