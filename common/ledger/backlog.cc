#include "common/ledger/backlog.h"

namespace weir::ledger {

Result<Backlog> GetBacklog(pg::Session& session) {
  auto rows = session.Exec(
      "select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)) * 1000, 0)::int8 "
      "from weir.jobs where state in ('queued', 'running', 'paused')",
      {}, "backlog");
  if (!rows) return Fail(rows.error());
  return Backlog{rows->Int(0, 0), std::chrono::milliseconds(rows->Int(0, 1))};
}

}  // namespace weir::ledger
