// How jobs end: by themselves, by their deadline, by cancel. An account ends when none of its tasks is open,
// a job when none of its accounts is (DESIGN §4.4). What became of it is read from the tasks alone, so that a
// crash anywhere in between changes nothing.

#include "common/ledger/dispatch.h"
#include "common/ledger/job_lock.h"
#include "common/ledger/jobs.h"
#include "common/ledger/transaction.h"
#include "common/sources/source.h"

namespace weir::ledger {
namespace {

// Ends every open task of a job as $2. The epoch goes up, so that what a worker still does for a running one
// is fenced.
constexpr std::string_view kCloseTasksSql = R"sql(
  update weir.tasks set state = $2, epoch = epoch + 1, owner = null, not_before = null, finished_at = clock_timestamp()
   where job_id = $1::int8 and state in ('planned', 'dispatched', 'running', 'parked'))sql";

// Ends the accounts of a job that have no open task. A dead discover task fails the account, and so do
// refused credentials or a refused table, wherever in it they came; other dead data tasks fail it when
// nothing else was done. $2: a sweep follows where all was read.
constexpr std::string_view kEndAccountsSql = R"sql(
  with ended as (
    select a.account, a.mode, s.*
      from weir.job_accounts a
      cross join lateral (
        select count(*) filter (where state = 'cancelled') as cancelled, count(*) filter (where state = 'expired') as expired,
               count(*) filter (where state = 'dead' and kind = 0) as dead_discovers,
               count(*) filter (where state = 'dead' and kind <> 0) as dead,
               count(*) filter (where state = 'dead' and error_class in ('auth', 'schema')) as refused,
               count(*) filter (where state = 'done' and kind <> 0) as done,
               (array_agg(id order by (error_class in ('auth', 'schema')) desc, id) filter (where state = 'dead'))[1] as first_dead,
               min(coalesce(finished_at, advanced_at) - busy_ms * interval '1 ms') as began
          from weir.tasks t where t.job_id = a.job_id and t.account = a.account) s
     where a.job_id = $1::int8 and a.state in ('queued', 'running', 'paused')
       and not exists (select from weir.tasks t where t.job_id = a.job_id and t.account = a.account
                          and t.state in ('planned', 'dispatched', 'running', 'parked'))),
  named as (
    select e.*, case when cancelled > 0 then 'cancelled' when expired > 0 then 'expired'
                     when dead_discovers > 0 or refused > 0 or (dead > 0 and done = 0) then 'failed'
                     when dead > 0 then 'partial' else 'succeeded' end as state
      from ended e),
  closed as (
    update weir.job_accounts a
       set state = n.state, error_class = d.error_class, error_message = d.error_message, error_hint = d.error_hint,
           started_at = coalesce(a.started_at, n.began, j.created_at), finished_at = clock_timestamp(),
           sweep = case when $2::bool and n.state = 'succeeded' and n.mode = 'full' and j.record_limit is null then 'due' end,
           sweep_reason = null
      from named n left join weir.tasks d on d.id = n.first_dead, weir.jobs j
     where a.job_id = $1::int8 and a.account = n.account and j.id = a.job_id
    returning a.account, a.state, a.mode, a.began_ms)
  insert into weir.full_syncs (source, stream, account, job_id, began_ms)
  select j.source, j.stream, c.account, j.id, coalesce(c.began_ms, j.now_ms) from closed c, weir.jobs j
   where j.id = $1::int8 and c.state = 'succeeded' and c.mode = 'full' and j.since_ms is null and j.until_ms is null
     and j.record_limit is null
  on conflict (source, stream, account) do update
     set job_id = excluded.job_id, began_ms = excluded.began_ms, finished_at = now())sql";

// Ends the job when all its accounts have, and their sweeps are decided.
constexpr std::string_view kEndJobSql = R"sql(
  update weir.jobs j
     set state = case when s.cancelled then 'cancelled' when s.expired then 'expired' when s.succeeded then 'succeeded'
                      when s.failed then 'failed' else 'partial' end,
         started_at = coalesce(j.started_at, s.began, j.created_at), finished_at = clock_timestamp()
    from (select bool_or(state = 'cancelled') as cancelled, bool_or(state = 'expired') as expired,
                 bool_and(state = 'succeeded') as succeeded, bool_and(state = 'failed') as failed,
                 bool_or(state in ('queued', 'running', 'paused') or sweep is not distinct from 'due') as open,
                 min(started_at) as began
            from weir.job_accounts where job_id = $1::int8) s
   where j.id = $1::int8 and not s.open
  returning pg_notify('weir_jobs', j.id::text))sql";

constexpr std::string_view kDropSweepsSql = R"sql(
  update weir.job_accounts set sweep = 'refused', sweep_reason = 'the job was cancelled'
   where job_id = $1::int8 and sweep = 'due')sql";

bool CanBeSwept(std::string_view source, std::string_view stream) {
  const Source* known = FindSource(source);
  const StreamInfo* info = known != nullptr ? FindStream(*known, stream) : nullptr;
  return info != nullptr && info->sweep.lists_all;
}

// Ends what is ready to end of a job whose row is locked. True = the job has ended.
Result<bool> EndLocked(pg::Session& session, const std::string& id, bool sweeps) {
  auto rows = session.Exec(kEndAccountsSql, {id, sweeps ? "true" : "false"}, "end_accounts");
  if (rows) rows = session.Exec(kEndJobSql, {id}, "end_job");
  if (!rows) return Fail(rows.error());
  return rows->Affected() > 0;
}

enum class Cause { kEnded, kCancelled };

struct Ending {
  bool ended = false;
  std::string state_before;  // "" = no such job
};

Result<Ending> EndJobOnce(pg::Session& session, const std::string& id, Cause cause, bool sweeps) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin(kJobTransaction); !begun) return Fail(begun.error());
  auto job = LockJob(session, id);
  if (!job) return Fail(job.error());
  Ending ending;
  ending.state_before = job->state;
  if (!job->open) return ending;
  if (cause == Cause::kCancelled || job->overdue) {
    auto closed = session.Exec(kCloseTasksSql, {id, cause == Cause::kCancelled ? "cancelled" : "expired"});
    if (closed && cause == Cause::kCancelled) closed = session.Exec(kDropSweepsSql, {id});
    if (!closed) return Fail(closed.error());
  }
  const bool can_be_swept = CanBeSwept(job->source, job->stream);
  auto ended = EndLocked(session, id, sweeps && cause == Cause::kEnded && can_be_swept);
  if (!ended) return Fail(ended.error());
  ending.ended = *ended;
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return ending;
}

Result<Ending> EndJob(pg::Session& session, JobId job, Cause cause, bool sweeps) {
  const std::string id = std::to_string(job.value);
  return WithoutZombies(session, id, [&] { return EndJobOnce(session, id, cause, sweeps); });
}

// Accounts and jobs of which a worker runs a task have started, or of whose plan one has had a task: pages
// that are refused at once are not seen running. That was when the first of these tasks was sent.
constexpr std::string_view kStartSql = R"sql(
  with active as materialized (
    select job_id, account, min(began) as began from (
      select job_id, account, dispatched_at as began from weir.tasks
       where state in ('dispatched', 'running') and state = 'running'
      union all
      select a.job_id, a.account, t.dispatched_at from weir.job_accounts a
        join weir.tasks t on t.job_id = a.job_id and t.account = a.account
       where a.state = 'queued' and t.kind = 0 and t.state in ('parked', 'done', 'dead')) tasks
     group by job_id, account),
  accounts as (
    update weir.job_accounts a set state = 'running',
           started_at = coalesce(a.started_at, active.began, clock_timestamp())
      from active where a.job_id = active.job_id and a.account = active.account and a.state = 'queued'),
  jobs as (
    update weir.jobs j set state = 'running',
           started_at = coalesce(j.started_at, (select min(began) from active where job_id = j.id), clock_timestamp())
     where j.state = 'queued' and j.id in (select job_id from active)
    returning j.id)
  select pg_notify('weir_jobs', id::text) from jobs)sql";

constexpr std::string_view kEndingJobsSql = R"sql(
  select j.id from weir.jobs j
   where j.state in ('queued', 'running', 'paused')
     and (j.deadline_at <= now()
          or exists (select from weir.job_accounts a
                      where a.job_id = j.id and a.state in ('queued', 'running', 'paused')
                        and not exists (select from weir.tasks t where t.job_id = a.job_id and t.account = a.account
                                           and t.state in ('planned', 'dispatched', 'running', 'parked')))
          or not exists (select from weir.job_accounts a
                          where a.job_id = j.id and a.state in ('queued', 'running', 'paused')))
   order by j.id)sql";

}  // namespace

Result<LockedJob> LockJob(pg::Session& session, const std::string& id) {
  auto rows = session.Exec(
      "select state, state in ('queued', 'running', 'paused'), coalesce(deadline_at <= now(), false), "
      "source, "
      "stream from weir.jobs where id = $1::int8 for update",
      {id}, "lock_job");
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return LockedJob{};
  return LockedJob{std::string(rows->Text(0, 0)), rows->Bool(0, 1), rows->Bool(0, 2),
                   std::string(rows->Text(0, 3)), std::string(rows->Text(0, 4))};
}

Result<void> EndBlockers(pg::Session& session, const std::string& id) {
  auto rows = session.Exec(
      R"sql(
      select count(pg_terminate_backend(l.pid))
        from weir.tasks t
        join pg_locks l on l.locktype = 'transactionid' and l.granted and l.transactionid = t.xmax
       where t.job_id = $1::int8 and t.state in ('planned', 'dispatched', 'running', 'parked')
         and l.pid <> pg_backend_pid())sql",
      {id});
  if (!rows) return Fail(rows.error());
  return {};
}

Error NoSuchJob(JobId id) {
  return MakeError(ErrorClass::kNotFound, "there is no job " + std::to_string(id.value),
                   "see: weir jobs list");
}

Error JobHasEnded(JobId id, const std::string& state) {
  return MakeError(ErrorClass::kConflict, "job " + std::to_string(id.value) + " has ended already: " + state);
}

Result<std::vector<JobId>> EndJobs(pg::Session& session, bool sweeps) {
  if (auto started = session.Exec(kStartSql, {}, "start_jobs"); !started) return Fail(started.error());
  auto rows = session.Exec(kEndingJobsSql, {}, "ending_jobs");
  if (!rows) return Fail(rows.error());
  std::vector<JobId> ended;
  for (int i = 0; i < rows->Size(); ++i) {
    const JobId id{rows->Int(i, 0)};
    auto ending = EndJob(session, id, Cause::kEnded, sweeps);
    if (!ending) return Fail(ending.error());
    if (ending->ended) ended.push_back(id);
  }
  return ended;
}

Result<void> CancelJob(pg::Session& session, JobId id) {
  auto ending = EndJob(session, id, Cause::kCancelled, false);
  if (!ending) return Fail(ending.error());
  if (ending->ended) return {};
  if (ending->state_before.empty()) return tl::unexpected(NoSuchJob(id));
  return tl::unexpected(JobHasEnded(id, ending->state_before));
}

}  // namespace weir::ledger
