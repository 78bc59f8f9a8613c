#pragma once

#include <string>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// Ends the backends that hold rows of `weir.tasks t` by an update or a lock for one: the row version's xmax
// is their transaction. Exact, and needs no note in the row, which only a committed statement could have left
// there. `rows` is a condition, of weir's own words and numbers. Not in a transaction: where nothing was
// found by xmax itself, it is looked at as a multixact, which the server refuses for what is none. Any thread
// that owns the session. Errors: the database's.
Result<void> EndRowBlockers(pg::Session& session, const std::string& rows);

}  // namespace weir::ledger
