#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/config/account_book.h"
#include "common/config/config.h"
#include "producer/cli/command.h"
#include "producer/cli/output.h"
#include "producer/probe/prober.h"

namespace weir::probe {

// One line of `weir sources check`: an account's access to its source, or a source's without an account.
struct CheckTarget {
  const Source* source = nullptr;
  std::string account;      // whose data is asked for
  bool configured = false;  // false: the source's own example, only to see whether it answers
};

struct CheckLine {
  CheckTarget target;
  bool has_token = false;
  std::optional<std::chrono::milliseconds> round_trip;  // nothing = no answer came
  std::optional<Error> error;                           // what is wrong
};

// The accounts of the file, and of the sources that have none there the source itself; only those of the
// options' source. With an account named, that one alone. Errors: kNotFound for an account without a source
// that is not in the file.
Result<std::vector<CheckTarget>> CheckTargets(const Config& config, const cli::CheckOptions& options);

// Sends one cheap request. Errors: kStopped; whatever else is wrong stands in the line.
Result<CheckLine> CheckOne(Prober& prober, const AccountBook& accounts, const CheckTarget& target);

nlohmann::ordered_json ChecksJson(const std::vector<CheckLine>& lines);
void PrintChecks(const cli::Io& io, const std::vector<CheckLine>& lines);

}  // namespace weir::probe
