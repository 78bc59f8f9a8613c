#include "common/ledger/close_tasks.h"

#include <fmt/core.h>

#include "common/ledger/job_lock.h"
#include "common/ledger/leave_running.h"
#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

// {0} = the ids of a slice. The state is asked for once more: a task may have ended since the slice was
// looked up.
std::string CloseSql(std::string_view ids) {
  return fmt::format(
      "update weir.tasks t set {}, not_before = null, finished_at = clock_timestamp() "
      "where t.id in ({}) and t.state in ('planned', 'dispatched', 'running', 'parked')",
      LeaveRunning("$2"), ids);
}

const std::string& CloseSentSql() {
  static const std::string kSql = CloseSql(
      "select id from weir.tasks where job_id = $1::int8 and state in ('dispatched', 'running') limit "
      "$3::int");
  return kSql;
}

const std::string& CloseOpenSql() {
  static const std::string kSql = CloseSql(
      "select id from weir.tasks where job_id = $1::int8 "
      "and state in ('planned', 'dispatched', 'running', 'parked') limit $3::int");
  return kSql;
}

const std::string& CloseRefusedSql() {
  static const std::string kSql = fmt::format(
      R"sql(
      update weir.tasks t set {}, not_before = null, finished_at = clock_timestamp(), error_class = r.error_class,
             http_status = r.http_status, error_message = r.error_message, error_hint = r.error_hint,
             letter_due = true, letter_message = null, letter_from = null
        from weir.job_accounts a join weir.tasks r on r.id = a.refused_by
       where a.job_id = $1::int8 and t.job_id = a.job_id and t.account = a.account
         and t.state in ('planned', 'dispatched', 'parked')
         and t.id in (select x.id from weir.job_accounts b
                        join weir.tasks x on x.job_id = b.job_id and x.account = b.account
                       where b.job_id = $1::int8 and b.refused_by is not null
                         and x.state in ('planned', 'dispatched', 'parked') limit $2::int))sql",
      LeaveRunning("'dead'"));
  return kSql;
}

// One slice in its own transaction; how many tasks it ended.
Result<std::int64_t> CloseSlice(pg::Session& session, const std::string& job, const std::string& sql,
                                const pg::ParamsList& params) {
  return WithoutZombies(session, job, [&]() -> Result<std::int64_t> {
    Transaction transaction(session);
    if (auto begun = transaction.Begin(kJobTransaction); !begun) return Fail(begun.error());
    // A replay takes back that an account's credentials were refused: it waits for us, or we see it.
    auto refused = session.Exec(
        "select from weir.job_accounts where job_id = $1::int8 and refused_by is not null for share", {job});
    if (!refused) return Fail(refused.error());
    auto closed = session.Exec(sql, params);
    if (!closed) return Fail(closed.error());
    const std::int64_t tasks = closed->Affected();
    if (auto done = transaction.Commit(); !done) return Fail(done.error());
    return tasks;
  });
}

Result<void> CloseAll(pg::Session& session, const std::string& job, const std::string& sql,
                      const pg::ParamsList& params) {
  for (;;) {
    auto closed = CloseSlice(session, job, sql, params);
    if (!closed) return Fail(closed.error());
    if (*closed == 0) return {};
  }
}

}  // namespace

Result<void> CloseTasks(pg::Session& session, const std::string& job, const std::string& state, int slice) {
  const pg::ParamsList params{job, state, std::to_string(slice)};
  if (auto sent = CloseAll(session, job, CloseSentSql(), params); !sent) return sent;
  return CloseAll(session, job, CloseOpenSql(), params);
}

Result<void> CloseRefused(pg::Session& session, const std::string& job, int slice) {
  return CloseAll(session, job, CloseRefusedSql(), {job, std::to_string(slice)});
}

}  // namespace weir::ledger
