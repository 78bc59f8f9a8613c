// Dead tasks tried again. Jobs first and in order, as everyone does who ends or reopens one.

#include <fmt/core.h>

#include "common/ledger/failure_filter.h"
#include "common/ledger/job_lock.h"
#include "common/ledger/transaction.h"
#include "common/pg/deadline_scope.h"

namespace weir::ledger {
namespace {

// $8 max_replays (null = no guard), $9 whether a job or task was named, $10 the jobs whose rows are locked. A
// job that ended cannot be reopened next to another open one of the same sync; of several that ended, the
// newest is. One that is being closed takes nothing back.
std::string CandidatesSql() {
  return fmt::format(
      "select t.id, coalesce(t.error_class, ''), coalesce(t.replays >= $8::int, false), "
      "case when j.state in ('queued', 'running', 'paused') then j.closing is not null "
      "else exists (select from weir.jobs n "
      "where n.fingerprint = j.fingerprint and n.id <> j.id "
      "and (n.state in ('queued', 'running', 'paused') or (not $9::bool and n.id > j.id))) end {} "
      "and t.job_id = any($10::int8[]) order by 2, 1",
      kDeadSql);
}

// Puts the dead tasks $1 back and reopens their accounts and jobs. Their jobs' rows are locked. What is open
// stays as it is: a paused job is not resumed by this. A page that was invalid and had rejected records
// is read again from its start, as if these had never been met: it may have stored nothing, and their cause
// be mended.
constexpr std::string_view kReplaySql = R"sql(
  with forgotten as (
    delete from weir.rejects r using weir.tasks t
     where t.id = any($1::int8[]) and t.state = 'dead' and t.error_class = 'invalid' and r.task_id = t.id and r.page = t.page
    returning r.task_id),
  counted as (select task_id, count(*) as rejects from forgotten group by task_id),
  whole as (
    select t.id, c.rejects from weir.tasks t left join counted c on c.task_id = t.id where t.id = any($1::int8[])),
  replayed as (
    update weir.tasks t set position = case when w.rejects is null then t.position else 0 end,
           digest = case when w.rejects is null then t.digest else 0 end,
           fetched = t.fetched - coalesce(w.rejects, 0), rejected = t.rejected - coalesce(w.rejects, 0), state = 'planned', attempts = 0, crashes = 0, replays = t.replays + 1, epoch = t.epoch + 1,
           owner = null, not_before = null, finished_at = null, dispatched_at = null, error_class = null,
           http_status = null, error_message = null, error_hint = null, error_request = null, error_head = null,
           error_body = null, letter_due = false, letter_message = null, letter_from = null
      from whole w where t.id = w.id and t.state = 'dead'
    returning t.job_id, t.account),
  accounts as (
    update weir.job_accounts a set state = case when a.state in ('queued', 'running', 'paused') then a.state
                                                when j.state = 'paused' then 'paused' else 'running' end,
           finished_at = null, error_class = null, error_message = null, error_hint = null, refused_by = null
      from (select distinct job_id, account from replayed) r join weir.jobs j on j.id = r.job_id
     where a.job_id = r.job_id and a.account = r.account
    returning a.job_id, a.account),
  unsummed as (
    delete from weir.account_sums s using accounts a where s.job_id = a.job_id and s.account = a.account)
  update weir.jobs j set state = 'running', finished_at = null, closing = null, tasks_pruned = false, failures_pruned = null,
         deadline_at = case when j.deadline_at > now() then j.deadline_at end
   where j.id in (select job_id from replayed) and j.state not in ('queued', 'running', 'paused')
  returning pg_notify('weir_jobs', j.id::text))sql";

Error Superseded() {
  return MakeError(ErrorClass::kConflict,
                   "the same sync is running as another job, which reads these pages too",
                   "wait for it to end (weir jobs list), then replay what is still dead");
}

struct Candidates {
  std::vector<ReplayCount> counts;
  std::vector<std::int64_t> ids;
  std::int64_t guarded = 0, superseded = 0;
};

Result<Candidates> Find(pg::Session& session, const FailureFilter& filter, const ReplayOptions& options,
                        const pg::Rows& locked) {
  pg::ParamsList params = FailureParams(filter);
  params.push_back(options.force ? pg::Param() : pg::Param(std::to_string(options.max_replays)));
  params.push_back(filter.job || filter.task ? "true" : "false");
  std::vector<std::int64_t> jobs;
  for (int i = 0; i < locked.Size(); ++i) jobs.push_back(locked.Int(i, 0));
  params.push_back(pg::ArrayLiteral(jobs));
  auto rows = session.Exec(CandidatesSql(), params);
  if (!rows) return Fail(rows.error());
  Candidates found;
  for (int i = 0; i < rows->Size(); ++i) {
    if (found.counts.empty() || found.counts.back().error_class != rows->Text(i, 1)) {
      found.counts.push_back({std::string(rows->Text(i, 1)), 0, 0, 0});
    }
    ReplayCount& count = found.counts.back();
    if (rows->Bool(i, 3)) {
      ++count.superseded;
      ++found.superseded;
    } else if (rows->Bool(i, 2)) {
      ++count.guarded;
      ++found.guarded;
    } else {
      ++count.tasks;
      found.ids.push_back(rows->Int(i, 0));
    }
  }
  return found;
}

// Why nothing can be put back, though something is dead.
Result<void> CheckAny(const Candidates& found, int max_replays) {
  if (!found.ids.empty() || (found.guarded == 0 && found.superseded == 0)) return {};
  if (found.guarded == 0) return tl::unexpected(Superseded());
  return Fail(ErrorClass::kConflict,
              fmt::format("{} tasks were replayed {} times (replay.max) and died again each time",
                          found.guarded, max_replays),
              "find out why: weir failures list; once more all the same: --force");
}

}  // namespace

pg::ParamsList FailureParams(const FailureFilter& filter) {
  const auto number = [](const std::optional<std::int64_t>& value) {
    return value ? pg::Param(std::to_string(*value)) : pg::Param();
  };
  return {filter.job ? pg::Param(std::to_string(filter.job->value)) : pg::Param(),
          filter.task ? pg::Param(std::to_string(filter.task->value)) : pg::Param(),
          filter.error_class,
          filter.source,
          filter.account,
          number(filter.since_ms),
          number(filter.until_ms)};
}

Result<void> CheckNamed(pg::Session& session, const FailureFilter& filter) {
  const auto check = [&](const char* what, std::int64_t id, const char* hint) -> Result<void> {
    auto rows =
        session.Exec(fmt::format("select from weir.{}s where id = $1::int8", what), {std::to_string(id)});
    if (!rows) return Fail(rows.error());
    if (rows->Empty()) return Fail(ErrorClass::kNotFound, fmt::format("there is no {} {}", what, id), hint);
    return {};
  };
  Result<void> named;
  if (filter.job) named = check("job", filter.job->value, "see: weir jobs list");
  if (named && filter.task) named = check("task", filter.task->value, "see: weir failures list");
  return named;
}

namespace {

Result<std::vector<ReplayCount>> ReplayOnce(pg::Session& session, const FailureFilter& filter,
                                            const ReplayOptions& options) {
  if (auto named = CheckNamed(session, filter); !named) return Fail(named.error());
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local synchronous_commit = on"); !begun) return Fail(begun.error());
  auto jobs = session.Exec(
      fmt::format("select id from weir.jobs where id in (select t.job_id {}) order by id for no key update",
                  kDeadSql),
      FailureParams(filter));
  if (!jobs) return Fail(jobs.error());
  auto found = Find(session, filter, options, *jobs);
  if (!found) return Fail(found.error());
  if (options.dry_run) return std::move(found->counts);
  if (auto any = CheckAny(*found, options.max_replays); !any) return Fail(any.error());
  if (found->ids.empty()) return std::move(found->counts);
  auto done = session.Exec(kReplaySql, {pg::ArrayLiteral(found->ids)});
  if (done) done = session.Exec("select pg_notify('weir_dispatch', '')");
  // Someone opened the same sync since the look.
  if (!done && done.error().sqlstate == "23505") return tl::unexpected(Superseded());
  if (!done) return Fail(done.error());
  if (auto committed = transaction.Commit(); !committed) return Fail(committed.error());
  return std::move(found->counts);
}

}  // namespace

Result<std::vector<ReplayCount>> Replay(pg::Session& session, const FailureFilter& filter,
                                        const ReplayOptions& options) {
  // A million tasks go back in one transaction.
  const pg::DeadlineScope deadline(session, std::chrono::minutes(10));
  auto replayed = ReplayOnce(session, filter, options);
  for (int again = 0; again < kMostDeadlocks && !replayed && replayed.error().sqlstate == "40P01"; ++again)
    replayed = ReplayOnce(session, filter, options);
  return replayed;
}

}  // namespace weir::ledger
