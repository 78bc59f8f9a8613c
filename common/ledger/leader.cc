#include "common/ledger/leader.h"

#include <fmt/core.h>

#include "common/base/json_text.h"

namespace weir::ledger {

Result<std::optional<std::string>> FindLeader(pg::Session& session) {
  static const std::string kSql = fmt::format(
      "select coalesce(nullif(a.application_name, ''), 'a process'), coalesce(host(a.client_addr), '') "
      "from pg_locks l join pg_stat_activity a on a.pid = l.pid "
      "where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = {} and l.objsubid = 1 "
      "and l.database = (select oid from pg_database where datname = current_database()) limit 1",
      kLeaderLock);
  auto rows = session.Exec(kSql, {}, "find_leader");
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::nullopt;
  std::string leader = Printable(rows->Text(0, 0), 64);
  if (!rows->Text(0, 1).empty()) leader += " at " + std::string(rows->Text(0, 1));
  return leader;
}

}  // namespace weir::ledger
