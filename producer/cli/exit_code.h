#pragma once

#include "common/base/error.h"
#include "common/ledger/jobs.h"

namespace weir::cli {

// What the program says to its caller; part of its interface (docs, issue scripts).
enum ExitCode : int {
  kOk = 0,  // also when records alone were rejected
  kFailed = 1,
  kUsage = 2,     // usage or configuration
  kNotWhole = 3,  // finished with dead pages, or some accounts failed while others finished
  kAuth = 4,
  kNotFound = 5,  // not found, or a conflict
  kPending = 8,   // still pending at the deadline
  kInterrupted = 130,
  kTerminated = 143,
};

int ExitCodeOf(ErrorClass error_class);
// Of a job that ended: when every account failed for the same reason, that reason's code. An unfinished one
// is kPending.
int ExitCodeOf(const ledger::JobStatus& job);

}  // namespace weir::cli
