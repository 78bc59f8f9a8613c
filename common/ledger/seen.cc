#include "common/ledger/seen.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

// Evidence that is spent: too old, or a newer full job of the account has been read whole. Due ones are
// never: the leader decides them at once.
constexpr std::string_view kSpendSql = R"sql(
  update weir.job_accounts a set sweep = 'spent', sweep_reason = 'a newer full sync, or time, has overtaken it'
    from weir.jobs j
   where a.sweep = 'held' and j.id = a.job_id
     and (a.finished_at < now() - $1::int * interval '1 day'
          or exists (select from weir.job_accounts n join weir.jobs k on k.id = n.job_id
                      where n.account = a.account and n.job_id > a.job_id and n.sweep in ('marked', 'held')
                        and (k.source, k.stream, k.since_ms, k.until_ms)
                            is not distinct from (j.source, j.stream, j.since_ms, j.until_ms))))sql";

// A note is of use to a full job that began before it and is open, or may be opened again, or waits for its
// sweep.
constexpr std::string_view kForgetSql = R"sql(
  delete from weir.seen s
   where not exists (
     select from weir.job_accounts a join weir.jobs j on j.id = a.job_id
      where (j.source, j.stream, a.account) = (s.source, s.stream, s.account)
        and a.mode = 'full' and j.record_limit is null and a.began_at <= s.noted_at
        and (a.state in ('queued', 'running', 'paused') or a.sweep in ('due', 'held')
             or (a.state in ('partial', 'failed', 'expired') and a.finished_at > now() - $1::int * interval '1 day'
                 and not exists (select from weir.job_accounts n join weir.jobs k on k.id = n.job_id
                                  where n.account = a.account and n.job_id > a.job_id
                                    and (k.source, k.stream) = (j.source, j.stream) and n.sweep is not null)))))sql";

}  // namespace

Result<void> PrepareSeen(pg::Session& session) {
  return session.Prepare("weir_met", "select weir.note_met($1, $2, $3, $4, $5, $6)");
}

std::string SeenSql(const pg::Session& session, const ClaimedTask& task, const TableSpec& table,
                    const std::vector<std::string_view>& ids, bool kept) {
  const std::string names =
      fmt::format("{}, {}, {}, {}", session.Quote(task.source), session.Quote(task.stream),
                  session.Quote(task.account), task.job.value);
  const std::string left = kept ? fmt::format("'{}.{}'", table.schema, table.name) : "null";
  std::string sql;
  for (std::size_t from = 0; from < ids.size(); from += kSeenRow) {
    const auto some = std::span(ids).subspan(from, std::min(kSeenRow, ids.size() - from));
    sql += fmt::format("execute weir_met({}, {}, {}); ", names, session.Quote(pg::ArrayLiteral(some)), left);
  }
  return sql;
}

Result<std::int64_t> ForgetSeen(pg::Session& session) {
  const std::string days = std::to_string(kEvidenceDays);
  Transaction transaction(session);
  if (auto begun = transaction.Begin(); !begun) return Fail(begun.error());
  auto rows = session.Exec(kSpendSql, {days}, "spend_seen");
  if (rows) rows = session.Exec(kForgetSql, {days}, "forget_seen");
  if (!rows) return Fail(rows.error());
  const std::int64_t forgotten = rows->Affected();
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return forgotten;
}

}  // namespace weir::ledger
