#include "common/ledger/move_account.h"

#include <algorithm>

#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

// The tasks' rows first, in the order in which everyone locks them. What has another epoch is not marked as
// sent by who has just sent it to the old lane, and a message there is of no more use.
constexpr std::string_view kMoveSql = R"sql(
  with open as materialized (
    select id, epoch, state from weir.tasks
     where job_id = $1::int8 and account = $2 and state in ('planned', 'dispatched', 'running', 'parked')
     order by id for update),
  mine as materialized (
    select from open where id = $3::int8 and epoch = $4::int8 and state = 'running'),
  account as (
    update weir.job_accounts set meter = $5, lanes = $6::int, moves = moves + 1
     where job_id = $1::int8 and account = $2 and moves < 3 and exists (select from mine) returning 1),
  lanes as (
    insert into weir.lanes (meter, lane) select $5, generate_series(0, $6::int - 1) where exists (select from account)
    on conflict do nothing),
  moved as (
    update weir.tasks t
       set meter = $5, lane = t.lane % $6::int,
           epoch = case when o.id = $3::int8 or o.state <> 'running' then t.epoch + 1 else t.epoch end,
           owner = case when o.id = $3::int8 then null else t.owner end,
           state = case when o.id = $3::int8 or o.state = 'dispatched' then 'planned' else t.state end
      from open o where t.id = o.id and exists (select from account))
  select exists (select from mine), exists (select from account))sql";

}  // namespace

Result<bool> MoveAccount(pg::Session& session, const ClaimedTask& task, const std::string& meter, int lanes) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local synchronous_commit = on"); !begun) return Fail(begun.error());
  // Lanes that nobody uses are deleted after a while (PruneLanes), but none that is held by this.
  auto held = session.Exec("select from weir.lanes where meter = $1 order by lane for key share", {meter});
  if (!held) return Fail(held.error());
  auto rows =
      session.Exec(kMoveSql, {std::to_string(task.job.value), task.account, std::to_string(task.id.value),
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
