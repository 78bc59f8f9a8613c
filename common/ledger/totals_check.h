#pragma once

#include <string>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// Compares what came of the job's full syncs that are about to end with what their upstreams said there is.
// An account of which fewer different records came than the last total tells is looked at once more: its last
// question is asked again, so that it stays open. If it still falls short it gets an incomplete_reason, which
// also says whether the full sync before it fell short by as many. Rejected records without a readable id
// count as come. Within the transaction that ends the job's accounts, with the job's row locked; counting a
// million ids takes about a second.
Result<void> CheckTotals(pg::Session& session, const std::string& job_id);

}  // namespace weir::ledger
