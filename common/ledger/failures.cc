#include <fmt/core.h>

#include "common/ledger/jobs.h"
#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

// $1 job, $2 task, $3 class, $4 source: empty ones hold for all.
constexpr std::string_view kDeadSql =
    "t.state = 'dead' and ($1::int8 is null or t.job_id = $1::int8) and ($2::int8 is null or t.id = "
    "$2::int8) "
    "and ($3 = '' or coalesce(t.error_class, '') = $3) and ($4 = '' or j.source = $4)";

pg::ParamsList ParamsOf(const FailureFilter& filter) {
  return {filter.job ? pg::Param(std::to_string(filter.job->value)) : pg::Param(),
          filter.task ? pg::Param(std::to_string(filter.task->value)) : pg::Param(), filter.error_class,
          filter.source};
}

// A job or task that was named must exist.
Result<void> CheckNamed(pg::Session& session, const FailureFilter& filter) {
  if (filter.job) {
    auto rows =
        session.Exec("select from weir.jobs where id = $1::int8", {std::to_string(filter.job->value)});
    if (!rows) return Fail(rows.error());
    if (rows->Empty()) {
      return Fail(ErrorClass::kNotFound, fmt::format("there is no job {}", filter.job->value),
                  "see: weir jobs list");
    }
  }
  if (filter.task) {
    auto rows =
        session.Exec("select from weir.tasks where id = $1::int8", {std::to_string(filter.task->value)});
    if (!rows) return Fail(rows.error());
    if (rows->Empty()) {
      return Fail(ErrorClass::kNotFound, fmt::format("there is no task {}", filter.task->value),
                  "see: weir failures list");
    }
  }
  return {};
}

// Puts the dead tasks $5 back and reopens their accounts and jobs. Their jobs' rows are locked.
constexpr std::string_view kReplaySql = R"sql(
  with replayed as (
    update weir.tasks t set state = 'planned', attempts = 0, crashes = 0, replays = t.replays + 1, epoch = t.epoch + 1,
           owner = null, not_before = null, finished_at = null, dispatched_at = null, error_class = null,
           http_status = null, error_message = null, error_hint = null, error_request = null, error_head = null,
           error_body = null
     where t.id = any($1::int8[]) and t.state = 'dead'
    returning t.job_id, t.account),
  accounts as (
    update weir.job_accounts a set state = 'running', finished_at = null, error_class = null, error_message = null,
           error_hint = null
      from (select distinct job_id, account from replayed) r
     where a.job_id = r.job_id and a.account = r.account)
  update weir.jobs j set state = 'running', finished_at = null,
         deadline_at = case when j.deadline_at > now() then j.deadline_at end
   where j.id in (select job_id from replayed)
  returning pg_notify('weir_jobs', j.id::text))sql";

Result<void> ReplayTasks(pg::Session& session, const std::vector<std::int64_t>& ids) {
  auto done = session.Exec(kReplaySql, {pg::ArrayLiteral(ids)});
  if (done) done = session.Exec("select pg_notify('weir_dispatch', '')");
  if (done) return {};
  if (done.error().sqlstate != "23505") return Fail(done.error());
  return Fail(ErrorClass::kConflict, "the same sync is running as another job, which reads these pages too",
              "wait for it to end (weir jobs list), then replay what is still dead");
}

}  // namespace

Result<std::vector<Failure>> ListFailures(pg::Session& session, const FailureFilter& filter) {
  if (auto named = CheckNamed(session, filter); !named) return Fail(named.error());
  pg::ParamsList params = ParamsOf(filter);
  params.push_back(std::to_string(filter.limit));
  auto rows = session.Exec(
      "select t.id, t.job_id, j.source, j.stream, t.account, t.kind, t.lo, t.hi, t.key, "
      "coalesce(t.error_class, ''), "
      "coalesce(t.error_message, ''), coalesce(t.error_hint, ''), coalesce(t.http_status, 0), t.attempts, "
      "coalesce(to_char(t.finished_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), ''), "
      "coalesce(t.error_request, ''), coalesce(t.error_head, ''), coalesce(t.error_body, '') "
      "from weir.tasks t join weir.jobs j on j.id = t.job_id where " +
          std::string(kDeadSql) + " order by t.job_id desc, t.id limit $5::int",
      params);
  if (!rows) return Fail(rows.error());
  std::vector<Failure> failures;
  for (int i = 0; i < rows->Size(); ++i) {
    Failure f;
    f.task = TaskId{rows->Int(i, 0)};
    f.job = JobId{rows->Int(i, 1)};
    f.source = rows->Text(i, 2);
    f.stream = rows->Text(i, 3);
    f.account = rows->Text(i, 4);
    f.page = Describe(Selector{static_cast<SelectorKind>(rows->Int(i, 5)), rows->Int(i, 6), rows->Int(i, 7),
                               std::string(rows->Text(i, 8))});
    f.error_class = rows->Text(i, 9);
    f.message = rows->Text(i, 10);
    f.hint = rows->Text(i, 11);
    f.http_status = static_cast<int>(rows->Int(i, 12));
    f.attempts = static_cast<int>(rows->Int(i, 13));
    f.finished_at = rows->Text(i, 14);
    f.request = rows->Text(i, 15);
    f.head = rows->Text(i, 16);
    f.body = rows->Text(i, 17);
    failures.push_back(std::move(f));
  }
  return failures;
}

Result<std::vector<ReplayCount>> Replay(pg::Session& session, const FailureFilter& filter, bool dry_run,
                                        int max_replays) {
  if (auto named = CheckNamed(session, filter); !named) return Fail(named.error());
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local synchronous_commit = on"); !begun) return Fail(begun.error());
  // Jobs first and in order, as everyone who ends or reopens one does.
  auto jobs = session.Exec(
      "select id from weir.jobs where id in (select t.job_id from weir.tasks t join weir.jobs j on j.id = "
      "t.job_id where " +
          std::string(kDeadSql) + ") order by id for update",
      ParamsOf(filter));
  if (!jobs) return Fail(jobs.error());
  pg::ParamsList params = ParamsOf(filter);
  params.push_back(std::to_string(max_replays));
  auto rows = session.Exec(
      "select t.id, coalesce(t.error_class, '') from weir.tasks t join weir.jobs j on j.id = t.job_id "
      "where " +
          std::string(kDeadSql) + " and t.replays < $5::int order by 2, 1",
      params);
  if (!rows) return Fail(rows.error());
  std::vector<ReplayCount> counts;
  std::vector<std::int64_t> ids;
  for (int i = 0; i < rows->Size(); ++i) {
    ids.push_back(rows->Int(i, 0));
    if (counts.empty() || counts.back().error_class != rows->Text(i, 1)) {
      counts.push_back({std::string(rows->Text(i, 1)), 0});
    }
    ++counts.back().tasks;
  }
  if (dry_run || ids.empty()) return counts;
  if (auto done = ReplayTasks(session, ids); !done) return Fail(done.error());
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return counts;
}

}  // namespace weir::ledger
