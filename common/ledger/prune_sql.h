#pragma once

// The SQL of retention.cc.

#include <string>
#include <string_view>

#include "common/ledger/retention.h"

namespace weir::ledger {

// Jobs of which a part is due: $1 = age in ms, $2 = how many, $3 = only this one, or null.
const std::string& DueSql(Part part);

// One slice of a job's ended tasks ($1) after task $2, $3 of them at most. Those that are of the part go and
// are added up in weir.gone_tasks. Columns: looked at, the last of them, gone, rejects that went with them.
const std::string& TasksSql(Part part);

// Tasks of job $1 after $2 that have rejects, $3 at most: id, how many, and the page from which on they stay.
extern const std::string_view kRejectTasksSql;
// Rejects of the tasks $1 below the pages $2, of a single task after page $3 and position $4; $5 a task at
// most. Columns: gone, page and position of the last.
extern const std::string_view kRejectsSql;
// Accounts of job $1 after $2, $3 at most. Columns: gone, the last.
extern const std::string_view kAccountsSql;
// $1 = age in ms, $2 = "time", after which, $3 at most. Columns: gone, the last's time.
extern const std::string_view kGarbageSql;
// $1 = age in ms, $2 at most: locks them.
extern const std::string_view kIdleLanesSql;
// Of the lanes $1, $2 those that no open job needs.
extern const std::string_view kLanesSql;

}  // namespace weir::ledger
