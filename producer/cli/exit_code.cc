#include "producer/cli/exit_code.h"

#include <algorithm>

namespace weir::cli {

int ExitCodeOf(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kConfig:
      return kUsage;
    case ErrorClass::kAuth:
      return kAuth;
    case ErrorClass::kNotFound:
    case ErrorClass::kConflict:
    case ErrorClass::kGone:
      return kNotFound;
    case ErrorClass::kStopped:
      return kInterrupted;
    default:
      return kFailed;
  }
}

int ExitCodeOf(const ledger::JobStatus& job) {
  if (!job.Ended() || job.state == "expired") return kPending;
  if (job.state == "succeeded") return job.totals.dead_pages > 0 ? kNotWhole : kOk;
  const auto& accounts = job.accounts;
  const bool all_failed = !accounts.empty() && std::all_of(accounts.begin(), accounts.end(),
                                                           [](const auto& a) { return a.state == "failed"; });
  if (all_failed) {
    const bool same = std::all_of(accounts.begin(), accounts.end(), [&](const auto& a) {
      return a.error_class == accounts.front().error_class;
    });
    const auto reason = ParseErrorClass(accounts.front().error_class);
    return same && reason ? ExitCodeOf(*reason) : kFailed;
  }
  return job.state == "failed" ? kFailed : kNotWhole;
}

}  // namespace weir::cli
