#pragma once

#include <string>

#include "common/base/result.h"
#include "common/ledger/tasks.h"
#include "common/pg/session.h"

namespace weir::ledger {

// Puts the account of a claimed task, for its job, on the lanes of another meter: whoever opened the job did
// not know what its requests count against. The task is planned again there, no attempt counted, and so are
// the account's other open tasks; one that runs goes on where it is. False: it was moved too often already
// (workers do not agree), and stays. Errors: kFenced.
Result<bool> MoveAccount(pg::Session& session, const ClaimedTask& task, const std::string& meter, int lanes);

}  // namespace weir::ledger
