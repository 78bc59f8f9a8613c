#include "common/ledger/known_account.h"

#include <utility>

#include "common/ledger/tasks.h"

namespace weir::ledger {

Result<std::optional<KnownAccount>> FindKnownAccount(pg::Session& session, const std::string& source,
                                                     const std::string& stream, const std::string& key) {
  auto rows = session.Exec(
      "select a.name, a.canonical, f.account is not null from weir.accounts a "
      "left join weir.full_syncs f on (f.source, f.stream, f.account) = (a.source, $2, a.name) "
      "where a.source = $1 and a.key = $3",
      {source, stream, key});
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::optional<KnownAccount>();
  KnownAccount known;
  known.name = rows->Text(0, 0);
  known.canonical = rows->Text(0, 1);
  known.full_sync_done = rows->Bool(0, 2);
  ClaimedTask task;
  task.source = source;
  task.stream = stream;
  task.account = known.name;
  auto state = LoadAccountState(session, task);
  if (!state) return Fail(state.error());
  known.state = std::move(*state);
  return std::optional<KnownAccount>(std::move(known));
}

}  // namespace weir::ledger
