#pragma once

// What a job met of its account's records (weir.seen, DESIGN §8): the evidence of a sweep. Written in the
// transaction of the batch that met it, so that a batch which was fenced has met nothing.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/ledger/tasks.h"
#include "common/pg/session.h"
#include "common/sources/table_spec.h"

namespace weir::ledger {

// Ids in one row of weir.seen: two such rows fill a page of 8 KiB.
inline constexpr std::size_t kSeenRow = 500;

// Prepares what SeenSql executes, on the session that is to run it.
Result<void> PrepareSeen(pg::Session& session);

// Notes that the task met `ids` (each once), for its batch's transaction, after the guard. `kept`: the batch
// leaves some of their rows as they are. These it found not stale when it looked; a sweep that came in
// between did not see this note, so what it marked of them is taken back here.
std::string SeenSql(const pg::Session& session, const ClaimedTask& task, const TableSpec& table,
                    const std::vector<std::string_view>& ids, bool kept);

// How long the evidence of a full job is kept whose sweep was held, or that may still be mended by a replay
// or go on after its deadline.
inline constexpr int kEvidenceDays = 7;

// Forgets what no sweep can rest on any more, in slices, each a transaction. Returns the rows deleted.
Result<std::int64_t> ForgetSeen(pg::Session& session);

}  // namespace weir::ledger
