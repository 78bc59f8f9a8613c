#include "common/ledger/move_account.h"

#include <algorithm>
#include <string>

#include "common/ledger/leave_running.h"
#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

// The task alone, whatever else the account has: an account of a million tasks would be one statement over
// its time limit, again and again. The leader brings the others, a slice at a time (ReturnMisplaced); one
// that is claimed before that is moved by its own worker, which counts no further move.
const std::string& MoveSql() {
  static const std::string kSql = R"sql(
  with mine as materialized (
    select id from weir.tasks where id = $3::int8 and epoch = $4::int8 and state = 'running' for update),
  account as (
    update weir.job_accounts
       set moves = moves + case when (meter, lanes) = ($5, $6::int) then 0 else 1 end, meter = $5, lanes = $6::int
     where job_id = $1::int8 and account = $2 and (moves < 3 or (meter, lanes) = ($5, $6::int))
       and exists (select from mine) returning 1),
  lanes as (
    insert into weir.lanes (meter, lane) select $5, generate_series(0, $6::int - 1) where exists (select from account)
    on conflict do nothing),
  moved as (
    update weir.tasks t set )sql" +
                                  LeaveRunning("'planned'") + R"sql(, meter = $5, lane = t.lane % $6::int
      from mine m where t.id = m.id and exists (select from account))
  select exists (select from mine), exists (select from account))sql";
  return kSql;
}

}  // namespace

Result<bool> MoveAccount(pg::Session& session, const ClaimedTask& task, const std::string& meter, int lanes) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local synchronous_commit = on"); !begun) return Fail(begun.error());
  // Lanes that nobody uses are deleted after a while (PruneLanes), but none that is held by this.
  auto held = session.Exec("select from weir.lanes where meter = $1 order by lane for key share", {meter});
  if (!held) return Fail(held.error());
  auto rows =
      session.Exec(MoveSql(), {std::to_string(task.job.value), task.account, std::to_string(task.id.value),
                               std::to_string(task.epoch.value), meter, std::to_string(std::max(lanes, 1))});
  if (!rows) return Fail(rows.error());
  if (!rows->Bool(0, 0)) return Fail(ErrorClass::kFenced, "a newer epoch owns the task");
  const bool moved = rows->Bool(0, 1);
  auto told = session.Exec("select pg_notify('weir_dispatch', '')");
  if (!told) return Fail(told.error());
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return moved;
}

}  // namespace weir::ledger
