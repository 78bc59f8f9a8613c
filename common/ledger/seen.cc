#include "common/ledger/seen.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>

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
// sweep. Accounts that have notes which are of no use: those before `since`. That is a time in any case: the
// notes are deleted later than this looks, and a job may have begun meanwhile.
constexpr std::string_view kSpentSql = R"sql(
  select n.source, n.stream, n.account, n.since::text
    from (select distinct source, stream, account from weir.seen) d
    cross join lateral (
      select d.source, d.stream, d.account, coalesce(min(a.began_at), now()) as since
        from weir.job_accounts a join weir.jobs j on j.id = a.job_id
       where a.account = d.account and (j.source, j.stream) = (d.source, d.stream)
         and a.mode = 'full' and j.record_limit is null
         and (a.state in ('queued', 'running', 'paused') or a.sweep in ('due', 'held')
              or (a.state in ('partial', 'failed', 'expired') and a.finished_at > now() - $1::int * interval '1 day'
                  and not exists (select from weir.job_accounts n join weir.jobs k on k.id = n.job_id
                                   where n.account = a.account and n.job_id > a.job_id
                                     and (k.source, k.stream) = (j.source, j.stream) and n.sweep is not null)))) n
   where exists (select from weir.seen s
                  where (s.source, s.stream, s.account) = (n.source, n.stream, n.account)
                    and s.noted_at < n.since))sql";

// $5: where the last slice ended, so that none walks over what was deleted before it.
constexpr std::string_view kForgetSql = R"sql(
  with gone as (
    delete from weir.seen where ctid = any(array(
      select ctid from weir.seen
       where (source, stream, account) = ($1, $2, $3) and noted_at < $4::timestamptz
         and noted_at >= $5::timestamptz
       order by noted_at limit $6::int for update skip locked))
    returning noted_at)
  select count(*), max(noted_at)::text from gone)sql";

constexpr int kForgetSlice = 1'000;  // of 4 KiB each

// Of one account, a slice a transaction.
Result<std::int64_t> ForgetAccount(pg::Session& session, const pg::Rows& spent, int i) {
  std::string from = "-infinity";
  for (std::int64_t all = 0;;) {
    auto gone = session.Exec(
        kForgetSql,
        {std::string(spent.Text(i, 0)), std::string(spent.Text(i, 1)), std::string(spent.Text(i, 2)),
         std::string(spent.Text(i, 3)), from, std::to_string(kForgetSlice)},
        "forget_seen");
    if (!gone) return Fail(gone.error());
    all += gone->Int(0, 0);
    if (gone->Int(0, 0) < kForgetSlice) return all;
    from = gone->Text(0, 1);
  }
}

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
  auto rows = session.Exec(kSpendSql, {days}, "spend_seen");
  if (rows) rows = session.Exec(kSpentSql, {days}, "spent_seen");
  if (!rows) return Fail(rows.error());
  std::int64_t forgotten = 0;
  for (int i = 0; i < rows->Size(); ++i) {
    auto gone = ForgetAccount(session, *rows, i);
    if (!gone) return Fail(gone.error());
    forgotten += *gone;
  }
  return forgotten;
}

}  // namespace weir::ledger
