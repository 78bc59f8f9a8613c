#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/config/config.h"
#include "common/ledger/jobs.h"
#include "producer/cli/sync_options.h"

namespace weir {

// A sync as a user asks for it.
struct SyncTarget {
  std::string source, stream;
  std::vector<std::string> accounts;  // as spelled
  std::optional<JobMode> mode;
  Filter filter;
  std::string priority = "bulk";
  std::optional<std::chrono::milliseconds> deadline;
};

// The job to open for it: every account with its key, its meter and the meter's lanes, by the source and the
// configuration. Accounts that are one under Source::AccountKey are named once. Errors: kConfig.
Result<ledger::JobRequest> MakeJobRequest(const Config& config, const SyncTarget& target);
// Likewise, as the command line or a request to the control API says it.
Result<ledger::JobRequest> MakeJobRequest(const Config& config, const cli::SyncOptions& options);

}  // namespace weir
