// How jobs end: by themselves, by their deadline, by cancel. An account ends when none of its tasks is open,
// a job when none of its accounts is (DESIGN §4.4). What became of it is read from the tasks alone, so that a
// crash anywhere in between changes nothing.

#include <chrono>

#include "common/ledger/close_tasks.h"
#include "common/ledger/dispatch.h"
#include "common/ledger/job_lock.h"
#include "common/ledger/jobs.h"
#include "common/ledger/row_blockers.h"
#include "common/ledger/totals_check.h"
#include "common/ledger/transaction.h"
#include "common/pg/deadline_scope.h"
#include "common/sources/source.h"

namespace weir::ledger {
namespace {

// A table of any size is summed up in this time, or its job waits.
constexpr std::chrono::minutes kEndDeadline{10};

// From now on nothing of the job is claimed or sent. A cancel overrides an expiry that is under way.
constexpr std::string_view kMarkSql = R"sql(
  update weir.jobs set closing = case when $2 = 'cancelled' then $2 else coalesce(closing, $2) end
   where id = $1::int8)sql";

// Ends the accounts of a job that have no open task. A dead discover task fails the account while its plan is
// not whole, and so do refused credentials or a refused table, wherever in it they came; other dead tasks
// fail it when nothing came: no page was read, and no record was stored or rejected. What was read but is not
// proven whole makes it partial. Tasks that are gone (of a job that a replay has reopened) count like the
// others. The account's sums are stored with its end. $2: a sweep follows where all was read.
constexpr std::string_view kEndAccountsSql = R"sql(
  with ended as (
    select a.account, a.mode, a.planned, coalesce(a.incomplete_reason, least(s.incomplete, g.incomplete)) as reason,
           s.cancelled + g.cancelled as cancelled, s.expired + g.expired as expired,
           s.dead_discovers + g.dead_discovers as dead_discovers, s.dead + g.dead as dead, s.refused + g.refused as refused,
           s.done + g.done as done, s.came + g.came as came, s.first_dead, least(s.began, g.began) as began, s.pages + g.pages as pages,
           s.fetched + g.fetched as fetched, s.inserted + g.inserted as inserted, s.updated + g.updated as updated,
           s.unchanged + g.unchanged as unchanged, s.rejected + g.rejected as rejected,
           s.duplicates + g.duplicates as duplicates, s.requests + g.requests as requests, s.tasks + g.tasks as tasks
      from weir.job_accounts a
      cross join lateral (
        select count(*) filter (where state = 'cancelled') as cancelled, count(*) filter (where state = 'expired') as expired,
               count(*) filter (where state = 'dead' and kind = 0) as dead_discovers,
               count(*) filter (where state = 'dead' and kind <> 0) as dead,
               count(*) filter (where state = 'dead' and error_class in ('auth', 'schema')) as refused,
               count(*) filter (where state = 'done' and kind <> 0) as done,
               coalesce(sum(fetched) filter (where kind <> 0), 0) as came,
               (array_agg(id order by (error_class in ('auth', 'schema')) desc, id) filter (where state = 'dead'))[1] as first_dead,
               min(incomplete) as incomplete,
               min(coalesce(finished_at, advanced_at) - busy_ms * interval '1 ms') as began,
               coalesce(sum(pages), 0) as pages, coalesce(sum(fetched), 0) as fetched, coalesce(sum(inserted), 0) as inserted,
               coalesce(sum(updated), 0) as updated, coalesce(sum(unchanged), 0) as unchanged,
               coalesce(sum(rejected), 0) as rejected, coalesce(sum(duplicates), 0) as duplicates,
               coalesce(sum(requests), 0) as requests, count(*) filter (where kind <> 0) as tasks
          from weir.tasks t where t.job_id = a.job_id and t.account = a.account) s
      cross join lateral (
        select coalesce(sum(tasks) filter (where state = 'cancelled'), 0) as cancelled,
               coalesce(sum(tasks) filter (where state = 'expired'), 0) as expired,
               coalesce(sum(tasks) filter (where state = 'dead' and plan), 0) as dead_discovers,
               coalesce(sum(tasks) filter (where state = 'dead' and not plan), 0) as dead,
               coalesce(sum(refused), 0) as refused,
               coalesce(sum(tasks) filter (where state = 'done' and not plan), 0) as done,
              coalesce(sum(fetched) filter (where not plan), 0) as came,
               min(incomplete) as incomplete, min(began_at) as began,
               coalesce(sum(pages), 0) as pages, coalesce(sum(fetched), 0) as fetched, coalesce(sum(inserted), 0) as inserted,
               coalesce(sum(updated), 0) as updated, coalesce(sum(unchanged), 0) as unchanged,
               coalesce(sum(rejected), 0) as rejected, coalesce(sum(duplicates), 0) as duplicates,
               coalesce(sum(requests), 0) as requests, coalesce(sum(tasks) filter (where not plan), 0) as tasks
          from weir.gone_tasks t where t.job_id = a.job_id and t.account = a.account) g
     where a.job_id = $1::int8 and a.state in ('queued', 'running', 'paused')
       and not exists (select from weir.tasks t where t.job_id = a.job_id and t.account = a.account
                          and t.state in ('planned', 'dispatched', 'running', 'parked'))),
  named as (
    select e.*, case when cancelled > 0 then 'cancelled' when expired > 0 then 'expired'
                     when (dead_discovers > 0 and not planned) or refused > 0
                          or (dead + dead_discovers > 0 and done = 0 and came = 0) then 'failed'
                     when dead > 0 or dead_discovers > 0 or reason is not null then 'partial' else 'succeeded' end as state
      from ended e),
  summed as (
    insert into weir.account_sums (job_id, account, pages, fetched, inserted, updated, unchanged, rejected, duplicates,
                                   dead_pages, requests, planned_tasks)
    select $1::int8, account, pages, fetched, inserted, updated, unchanged, rejected, duplicates, dead, requests, tasks
      from ended
    on conflict (job_id, account) do update
       set pages = excluded.pages, fetched = excluded.fetched, inserted = excluded.inserted, updated =
           excluded.updated, unchanged = excluded.unchanged, rejected = excluded.rejected, duplicates =
           excluded.duplicates, dead_pages = excluded.dead_pages, requests = excluded.requests, planned_tasks =
           excluded.planned_tasks),
  closed as (
    update weir.job_accounts a
       set state = n.state, error_class = d.error_class, error_message = d.error_message, error_hint = d.error_hint,
           started_at = coalesce(a.started_at, n.began, j.created_at), finished_at = clock_timestamp(),
           sweep = case when $2::bool and n.state = 'succeeded' and n.mode = 'full' and j.record_limit is null then 'due' end,
           sweep_reason = null, incomplete_reason = case when n.state in ('partial', 'expired') then n.reason end
      from named n left join weir.tasks d on d.id = n.first_dead, weir.jobs j
     where a.job_id = $1::int8 and a.account = n.account and j.id = a.job_id
    returning a.account, a.state, a.mode, a.began_ms)
  insert into weir.full_syncs (source, stream, account, job_id, began_ms)
  select j.source, j.stream, c.account, j.id, coalesce(c.began_ms, j.now_ms) from closed c, weir.jobs j
   where j.id = $1::int8 and c.state = 'succeeded' and c.mode = 'full' and j.since_ms is null and j.until_ms is null
     and j.record_limit is null
  on conflict (source, stream, account) do update
     set job_id = excluded.job_id, began_ms = excluded.began_ms, finished_at = now())sql";

// Ends the job when all its accounts have, and their sweeps are decided. $2: it is being closed, and does not
// wait for the sweeps; they are decided all the same.
constexpr std::string_view kEndJobSql = R"sql(
  update weir.jobs j
     set state = case when s.cancelled then 'cancelled' when s.expired then 'expired' when s.succeeded then 'succeeded'
                      when s.failed then 'failed' else 'partial' end,
         started_at = coalesce(j.started_at, s.began, j.created_at), finished_at = clock_timestamp(), closing = null
    from (select bool_or(state = 'cancelled') as cancelled, bool_or(state = 'expired') as expired,
                 bool_and(state = 'succeeded') as succeeded, bool_and(state = 'failed') as failed,
                 bool_or(state in ('queued', 'running', 'paused') or (sweep is not distinct from 'due' and not $2::bool)) as open,
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
Result<bool> EndLocked(pg::Session& session, const std::string& id, const LockedJob& job, bool sweeps) {
  // What is being closed is not asked for once more.
  const bool closing = !job.closing.empty();
  if (!closing) {
    if (auto checked = CheckTotals(session, id); !checked) return Fail(checked.error());
  }
  auto rows = session.Exec(kEndAccountsSql, {id, sweeps && !closing ? "true" : "false"}, "end_accounts");
  if (rows) rows = session.Exec(kEndJobSql, {id, closing ? "true" : "false"}, "end_job");
  if (!rows) return Fail(rows.error());
  return rows->Affected() > 0;
}

enum class Cause { kEnded, kCancelled };

struct Ending {
  bool ended = false;
  bool closing = false;      // it will end, even if nobody here waits for that
  std::string state_before;  // "" = no such job
};

// Marks the job as closing if it is to be; returns the job as it stands then.
Result<LockedJob> Mark(pg::Session& session, const std::string& id, Cause cause) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin(kJobTransaction); !begun) return Fail(begun.error());
  auto job = LockJob(session, id);
  if (!job) return Fail(job.error());
  const bool cancel = cause == Cause::kCancelled && (job->open || job->closing == "expired");
  if (!cancel && !(job->open && job->overdue)) return job;
  job->closing = cancel ? "cancelled" : "expired";
  auto marked = session.Exec(kMarkSql, {id, job->closing});
  if (!marked) return Fail(marked.error());
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return job;
}

// Ends the accounts that are ready to end, and the job if all have. True = the job has ended.
Result<bool> Finish(pg::Session& session, const std::string& id, bool sweeps) {
  // One snapshot: an account whose last batch is committed meanwhile is not ended before its totals were
  // looked at.
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set transaction isolation level repeatable read; " +
                                     std::string(kJobTransaction));
      !begun)
    return Fail(begun.error());
  auto job = LockJob(session, id);
  if (!job) return Fail(job.error());
  if (!job->open && job->closing.empty()) return false;  // somebody else was first
  if (job->closing == "cancelled") {
    if (auto dropped = session.Exec(kDropSweepsSql, {id}); !dropped) return Fail(dropped.error());
  }
  auto ended = EndLocked(session, id, *job, sweeps && CanBeSwept(job->source, job->stream));
  if (!ended) return ended;
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return ended;
}

Result<Ending> EndJob(pg::Session& session, JobId job, Cause cause, bool sweeps) {
  const pg::DeadlineScope deadline(session, kEndDeadline);
  const std::string id = std::to_string(job.value);
  auto marked = RetryDeadlocks([&] { return Mark(session, id, cause); });
  if (!marked) return Fail(marked.error());
  Ending ending;
  ending.state_before = marked->state;
  ending.closing = !marked->closing.empty();
  if (!marked->open && !ending.closing) return ending;
  // A batch that was being committed may add a successor behind the last slice.
  constexpr int kRounds = 5;
  for (int round = 0; round < kRounds && !ending.ended; ++round) {
    auto closed =
        marked->closing.empty() ? CloseRefused(session, id) : CloseTasks(session, id, marked->closing);
    if (!closed) return Fail(closed.error());
    auto ended = RetryDeadlocks([&] { return Finish(session, id, sweeps); });
    if (!ended) return Fail(ended.error());
    ending.ended = *ended;
    if (marked->closing.empty()) break;
  }
  return ending;
}

// Accounts and jobs of which a worker runs a task have started, or of whose plan one has had a task: pages
// that are refused at once are not seen running. That was when the first of these tasks was sent.
constexpr std::string_view kStartSql = R"sql(
  with active as materialized (
    select job_id, account, min(began) as began from (
      select job_id, account, dispatched_at as began from weir.tasks
       where state in ('dispatched', 'running') and state = 'running' and ($1::int8 is null or job_id = $1)
      union all
      select a.job_id, a.account, t.dispatched_at from weir.job_accounts a
        join weir.tasks t on t.job_id = a.job_id and t.account = a.account
       where a.state = 'queued' and t.kind = 0 and t.state in ('parked', 'done', 'dead')
         and ($1::int8 is null or a.job_id = $1)) tasks
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

// $1 of kStartSql: a job, or all. An account's row may be held by a worker that is stopped in the middle of a
// plan.
Result<void> Start(pg::Session& session, const pg::Param& job) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local lock_timeout = '2s'"); !begun) return begun;
  if (auto done = session.Exec(kStartSql, {job}, "start_jobs"); !done) return Fail(done.error());
  return transaction.Commit();
}

// All at once; where that fails, each job alone, so that one job's trouble leaves the others be.
Result<void> StartJobs(pg::Session& session, std::vector<FailedJob>& failed) {
  auto started = Start(session, pg::Param());
  if (started) return {};
  if (!session.Connected()) return Fail(started.error());
  auto open = session.Exec("select id from weir.jobs where state in ('queued', 'running', 'paused')");
  if (!open) return Fail(open.error());
  for (int i = 0; i < open->Size(); ++i) {
    started = Start(session, std::to_string(open->Int(i, 0)));
    if (!started && !session.Connected()) return Fail(started.error());
    if (!started) failed.push_back({JobId{open->Int(i, 0)}, started.error()});
  }
  return {};
}

constexpr std::string_view kEndingJobsSql = R"sql(
  select j.id from weir.jobs j
   where j.state in ('queued', 'running', 'paused')
     and (j.deadline_at <= now() or j.closing is not null
          or exists (select from weir.job_accounts a join weir.tasks t on t.job_id = a.job_id and t.account = a.account
                      where a.job_id = j.id and a.refused_by is not null and t.state in ('planned', 'dispatched', 'parked'))
          or exists (select from weir.job_accounts a
                      where a.job_id = j.id and a.state in ('queued', 'running', 'paused')
                        and not exists (select from weir.tasks t where t.job_id = a.job_id and t.account = a.account
                                           and t.state in ('planned', 'dispatched', 'running', 'parked')))
          or not exists (select from weir.job_accounts a
                          where a.job_id = j.id and a.state in ('queued', 'running', 'paused')))
   order by j.id)sql";

}  // namespace

Result<LockedJob> LockJob(pg::Session& session, const std::string& id) {
  // Not `for update`: a batch that adds a successor holds the row as its foreign key's, and waits for a
  // task's row that whoever locks the job is about to write.
  auto rows = session.Exec(
      "select coalesce(case when open then closing end, state), open and closing is null, "
      "coalesce(deadline_at <= now(), false), coalesce(case when open then closing end, ''), source, stream "
      "from (select *, state in ('queued', 'running', 'paused') as open from weir.jobs where id = $1::int8 "
      "for no key update) j",
      {id}, "lock_job");
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return LockedJob{};
  LockedJob job;
  job.state = rows->Text(0, 0);
  job.open = rows->Bool(0, 1);
  job.overdue = rows->Bool(0, 2);
  job.closing = rows->Text(0, 3);
  job.source = rows->Text(0, 4);
  job.stream = rows->Text(0, 5);
  return job;
}

Result<void> EndBlockers(pg::Session& session, const std::string& id) {
  return EndRowBlockers(
      session, "t.job_id = " + id + " and t.state in ('planned', 'dispatched', 'running', 'parked')");
}

Error NoSuchJob(JobId id) {
  return MakeError(ErrorClass::kNotFound, "there is no job " + std::to_string(id.value),
                   "see: weir jobs list");
}

Error JobHasEnded(JobId id, const std::string& state) {
  return MakeError(ErrorClass::kConflict, "job " + std::to_string(id.value) + " has ended already: " + state);
}

Result<std::vector<JobId>> EndJobs(pg::Session& session, bool sweeps, std::vector<FailedJob>* failed) {
  std::vector<FailedJob> troubles;
  if (auto started = StartJobs(session, troubles); !started) return Fail(started.error());
  auto rows = session.Exec(kEndingJobsSql, {}, "ending_jobs");
  if (!rows) return Fail(rows.error());
  std::vector<JobId> ended;
  for (int i = 0; i < rows->Size(); ++i) {
    const JobId id{rows->Int(i, 0)};
    auto ending = EndJob(session, id, Cause::kEnded, sweeps);
    if (ending && ending->ended) ended.push_back(id);
    if (ending) continue;
    // One job's trouble must not stop another's, not even one that takes too long and so loses the
    // connection; a database that is away stops all.
    troubles.push_back({id, ending.error()});
    if (!session.Connected() && !session.Exec("select 1")) return Fail(ending.error());
  }
  if (failed == nullptr && !troubles.empty()) return Fail(troubles.front().error);
  if (failed != nullptr) *failed = std::move(troubles);
  return ended;
}

Result<void> FinishClosing(pg::Session& session, JobId id) {
  auto ending = EndJob(session, id, Cause::kEnded, false);
  if (!ending) return Fail(ending.error());
  return {};
}

Result<void> CancelJob(pg::Session& session, JobId id) {
  auto ending = EndJob(session, id, Cause::kCancelled, false);
  if (!ending) return Fail(ending.error());
  if (ending->ended || ending->closing) return {};
  if (ending->state_before.empty()) return tl::unexpected(NoSuchJob(id));
  return tl::unexpected(JobHasEnded(id, ending->state_before));
}

}  // namespace weir::ledger
