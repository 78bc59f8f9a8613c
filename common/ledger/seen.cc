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

std::string KeptName(const TableSpec& table) {
  return fmt::format("weir_seen_{}_{}", table.schema, table.name);
}

}  // namespace

std::string SweepLockKey(std::string_view source, std::string_view stream, std::string_view account) {
  return fmt::format("hashtextextended({} || '/' || {} || '/' || {}, 8)", source, stream, account);
}

Result<void> PrepareSeen(pg::Session& session, const TableSpec& table) {
  constexpr std::string_view kNote =
      "insert into weir.seen (source, stream, account, job_id, hashes) "
      "select $1, $2, $3, $4, array(select hashtextextended(i, 0) from unnest(met.ids) i) from met";
  const std::string seen = fmt::format("with met (ids) as (select $5::text[]) {}", kNote);
  if (auto ok = session.Prepare("weir_seen", seen); !ok) return ok;
  // What a sweep that came in between marked of the rows that the batch leaves as they are is taken back.
  const std::string kept = fmt::format(
      "with met (ids) as materialized (select $5::text[]), noted as ({}) "
      "update {}.{} t set stale_at = null, updated_at = clock_timestamp() from met "
      "where exists (select from weir.sweeps s where (s.source, s.stream, s.account) = ($1, $2, $3) "
      "and s.applied_at >= (select created_at from weir.jobs where id = $4)) "
      "and t.account = $3 and t.id = any(met.ids) and t.stale_at is not null",
      kNote, table.schema, table.name);
  return session.Prepare(KeptName(table), kept);
}

std::string SeenSql(const pg::Session& session, const ClaimedTask& task, const TableSpec& table,
                    const std::vector<std::string_view>& ids, bool kept) {
  if (ids.empty()) return "";
  const std::string source = session.Quote(task.source), stream = session.Quote(task.stream),
                    account = session.Quote(task.account);
  std::string sql;
  if (kept) sql += "select pg_advisory_xact_lock_shared(" + SweepLockKey(source, stream, account) + "); ";
  for (std::size_t from = 0; from < ids.size(); from += kSeenRow) {
    const auto some = std::span(ids).subspan(from, std::min(kSeenRow, ids.size() - from));
    const std::string values = fmt::format("({}, {}, {}, {}, {}); ", source, stream, account, task.job.value,
                                           session.Quote(pg::ArrayLiteral(some)));
    sql += "execute " + (kept ? KeptName(table) : "weir_seen") + values;
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
