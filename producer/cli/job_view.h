#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "common/ledger/jobs.h"
#include "producer/cli/output.h"

namespace weir::cli {

// Jobs as users see them. The JSON is an interface: names and shapes are those of the
// documentation, and nothing in it is ever renamed.

nlohmann::ordered_json JobJson(const ledger::JobStatus& job);

// One row an account and the totals.
void PrintJobTable(const Io& io, const ledger::JobStatus& job);
// What a user should know or do after a job: failed accounts with their hints, dead pages, rejected records.
// To err.
void PrintJobRemarks(const Io& io, const ledger::JobStatus& job);
void PrintJobList(const Io& io, const std::vector<ledger::JobStatus>& jobs);

// A job in the asked format; remarks go to err either way.
void PrintJob(const Io& io, OutputFormat format, const ledger::JobStatus& job);

}  // namespace weir::cli
