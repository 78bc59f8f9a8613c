#pragma once

// Ending many open tasks: in slices, each a transaction of its own, so that no number of tasks takes longer
// than a statement may, and no lock is held for long. Whoever is interrupted is followed by the next pass of
// the leader.

#include <string>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

inline constexpr int kCloseSlice = 10'000;

// Ends the open tasks of a job that is marked as closing (weir.jobs.closing) in that state, those that are
// sent or running first. Workers' batches for them are fenced.
Result<void> CloseTasks(pg::Session& session, const std::string& job, const std::string& state,
                        int slice = kCloseSlice);

// Ends the open tasks of the job's accounts whose credentials were refused (weir.job_accounts.refused_by),
// with the reason of the task that found it. One that runs may have been read whole, and is being committed;
// else it is refused itself.
Result<void> CloseRefused(pg::Session& session, const std::string& job, int slice = kCloseSlice);

}  // namespace weir::ledger
