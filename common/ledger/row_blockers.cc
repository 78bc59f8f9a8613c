#include "common/ledger/row_blockers.h"

#include <fmt/core.h>

namespace weir::ledger {
namespace {

constexpr const char* kByTransaction = R"sql(
  select count(pg_terminate_backend(l.pid))
    from weir.tasks t
    join pg_locks l on l.locktype = 'transactionid' and l.granted and l.transactionid = t.xmax
   where ({}) and l.pid <> pg_backend_pid())sql";

// Where others share the row (`for key share`, which a foreign key's check takes), xmax is a multixact of
// them all. Only who may write the row is in the way. A block for each row: of a row whose xmax is no
// multixact the function fails.
constexpr const char* kByMultixact = R"sql(
  do $do$
  declare r record;
  begin
    for r in select t.xmax as x from weir.tasks t where ({}) and t.xmax <> 0 limit 10000 loop
      begin
        perform pg_terminate_backend(l.pid)
           from pg_get_multixact_members(r.x) m
           join pg_locks l on l.locktype = 'transactionid' and l.granted and l.transactionid = m.xid
          where m.mode in ('fornokeyupd', 'forupd', 'nokeyupd', 'upd') and l.pid <> pg_backend_pid();
      exception when others then null;
      end;
    end loop;
  end $do$)sql";

}  // namespace

Result<void> EndRowBlockers(pg::Session& session, const std::string& rows) {
  auto ended = session.Exec(fmt::format(fmt::runtime(kByTransaction), rows));
  if (!ended) return Fail(ended.error());
  if (ended->Int(0, 0) > 0) return {};
  auto shared = session.Exec(fmt::format(fmt::runtime(kByMultixact), rows));
  if (!shared) return Fail(shared.error());
  return {};
}

}  // namespace weir::ledger
