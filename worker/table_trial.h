#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/pg/session.h"
#include "common/sources/table_spec.h"

namespace weir::worker {

// Whether the table takes a row: one with empty values is inserted and rolled back, triggers and policies
// included. Waits two seconds at most for a lock. A row that is refused for its values is an answer, too: the
// table was written to. Errors: kDatabase, kSchema. `by` tells the rows of several workers apart.
Result<void> TryTable(pg::Session& session, const TableSpec& table, std::string_view by);

}  // namespace weir::worker
