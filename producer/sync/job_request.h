#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/config/account_book.h"
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

// Where a job's accounts are read, and so who needs their secrets.
enum class ReadBy {
  kUs,      // by workers of this command: a secret that is not here is an error now
  kOthers,  // by workers that have their own configuration: this machine needs no secret
};

// The job to open for it: every account with its key, its meter and the meter's lanes, by the source and the
// configuration. Accounts that are one under Source::AccountKey are named once. Errors: kConfig.
Result<ledger::JobRequest> MakeJobRequest(const AccountBook& accounts, const SyncTarget& target, ReadBy by);
// Likewise, as the command line or a request to the control API says it.
Result<ledger::JobRequest> MakeJobRequest(const Config& config, const AccountBook& accounts,
                                          const cli::SyncOptions& options, ReadBy by);

}  // namespace weir
