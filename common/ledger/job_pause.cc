// How jobs stand still and go on. A paused job keeps all it has; what runs of it is fenced at its next batch,
// as by a cancel, and begins where it was committed.

#include <fmt/core.h>

#include "common/ledger/dispatch.h"
#include "common/ledger/job_lock.h"
#include "common/ledger/jobs.h"
#include "common/ledger/leave_running.h"
#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

// Messages of it that are on their way find it paused and are only acknowledged, so its tasks are planned
// again.
constexpr std::string_view kPauseSql = R"sql(
  with accounts as (
    update weir.job_accounts set state = 'paused' where job_id = $1::int8 and state in ('queued', 'running')),
  tasks as (
    update weir.tasks t set {0}
     where job_id = $1::int8 and state in ('dispatched', 'running'))
  update weir.jobs set state = 'paused' where id = $1::int8 returning pg_notify('weir_jobs', id::text))sql";

constexpr std::string_view kResumeSql = R"sql(
  with accounts as (
    update weir.job_accounts set state = case when started_at is null then 'queued' else 'running' end
     where job_id = $1::int8 and state = 'paused'),
  tasks as (
    update weir.tasks set state = 'planned' where job_id = $1::int8 and state = 'dispatched')
  update weir.jobs set state = case when started_at is null then 'queued' else 'running' end where id = $1::int8
  returning pg_notify('weir_jobs', id::text), pg_notify('weir_dispatch', ''))sql";

// Runs `sql` on an open job, unless it is (or is not) paused already.
Result<void> Change(pg::Session& session, JobId job, std::string_view sql, bool when_paused) {
  const std::string id = std::to_string(job.value);
  return WithoutZombies(session, id, [&]() -> Result<void> {
    Transaction transaction(session);
    if (auto begun = transaction.Begin(kJobTransaction); !begun) return Fail(begun.error());
    auto locked = LockJob(session, id);
    if (!locked) return Fail(locked.error());
    if (locked->state.empty()) return tl::unexpected(NoSuchJob(job));
    if (!locked->open) return tl::unexpected(JobHasEnded(job, locked->state));
    if ((locked->state == "paused") != when_paused) return {};
    if (auto done = session.Exec(sql, {id}); !done) return Fail(done.error());
    return transaction.Commit();
  });
}

}  // namespace

Result<void> PauseJob(pg::Session& session, JobId id) {
  static const std::string kSql = fmt::format(fmt::runtime(kPauseSql), LeaveRunning("'planned'"));
  return Change(session, id, kSql, false);
}

Result<void> ResumeJob(pg::Session& session, JobId id) { return Change(session, id, kResumeSql, true); }

Result<std::int64_t> HoldPaused(pg::Session& session) {
  static const std::string kSql = "update weir.tasks t set " + LeaveRunning("'planned'") + R"sql(
        from (select t.id from weir.tasks t join weir.jobs j on j.id = t.job_id
               where j.state = 'paused' and t.state in ('dispatched', 'running') for update of t skip locked) held
       where t.id = held.id)sql";
  auto rows = session.Exec(kSql, {}, "hold_paused");
  if (!rows) return Fail(rows.error());
  return rows->Affected();
}

}  // namespace weir::ledger
