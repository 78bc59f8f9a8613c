#include "common/ledger/totals_check.h"

#include <fmt/core.h>

#include <optional>

namespace weir::ledger {
namespace {

// Accounts of which every task is done and that nothing else calls incomplete.
constexpr std::string_view kEndingSql = R"sql(
  select a.account, a.total_before, a.total_after, a.looked_again
    from weir.job_accounts a join weir.jobs j on j.id = a.job_id
   where a.job_id = $1::int8 and a.state in ('queued', 'running', 'paused') and a.mode = 'full'
     and j.record_limit is null and a.total_before is not null and a.incomplete_reason is null
     and not exists (select from weir.tasks t where t.job_id = a.job_id and t.account = a.account
                        and (t.state <> 'done' or t.incomplete is not null))
     and not exists (select from weir.gone_tasks t where t.job_id = a.job_id and t.account = a.account
                        and (t.state <> 'done' or t.incomplete is not null)))sql";

// Different records that anyone met since the account's plan was made, as its sweep counts them.
constexpr std::string_view kMetSql = R"sql(
  update weir.job_accounts a
     set met = (select count(distinct hash)
                  from weir.jobs j, weir.seen s, unnest(s.hashes) hash
                 where j.id = a.job_id and (s.source, s.stream, s.account) = (j.source, j.stream, a.account)
                   and s.noted_at >= a.began_at)
   where a.job_id = $1::int8 and a.account = $2
  returning met)sql";

// Records without a readable id, which were rejected: they came too, and cannot be told apart.
constexpr std::string_view kUnnamedSql = R"sql(
  select count(*)
    from weir.job_accounts a
    join weir.jobs j on j.id = a.job_id
    join weir.jobs o on (o.source, o.stream) = (j.source, j.stream)
    join weir.tasks t on t.job_id = o.id and t.account = a.account
    join weir.rejects r on r.task_id = t.id
   where a.job_id = $1::int8 and a.account = $2 and r.record_id is null and r.created_at >= a.began_at)sql";

// What the account's full sync before this one, of the same scope, fell short by: only if all its pages were
// read and it was looked at twice, too. It proves nothing (whoever hides records hides the same ones again);
// but the user learns that another run will hardly help.
constexpr std::string_view kShortBeforeSql = R"sql(
  select coalesce(p.total_after, p.total_before) - p.met
    from (select p.*
            from weir.jobs j
            join weir.jobs q on (q.source, q.stream) = (j.source, j.stream) and q.id < j.id and q.record_limit is null
                            and q.since_ms is not distinct from j.since_ms and q.until_ms is not distinct from j.until_ms
            join weir.job_accounts p on p.job_id = q.id and p.account = $2
           where j.id = $1::int8 and p.mode = 'full' and p.state in ('succeeded', 'partial')
           order by q.id desc limit 1) p
   where p.looked_again
     and not exists (select from weir.tasks t where t.job_id = p.job_id and t.account = p.account
                        and (t.state <> 'done' or t.incomplete is not null))
     and not exists (select from weir.gone_tasks t where t.job_id = p.job_id and t.account = p.account
                        and (t.state <> 'done' or t.incomplete is not null)))sql";

// The last question of the plan, asked again: by it a source also reads what was created meanwhile. An
// expired job that this one goes on with may have asked it. The plan's first question is not: it would plan
// all anew.
constexpr std::string_view kAskAgainSql = R"sql(
  with recursive chain as (
    select id, continues from weir.jobs where id = $1::int8
    union all
    select j.id, j.continues from chain c join weir.jobs j on j.id = c.continues),
  asked as (
    insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi, key)
    select a.job_id, a.account, a.meter, t.lane % a.lanes, t.kind, t.lo, t.hi, t.key
      from weir.tasks t join weir.job_accounts a on a.job_id = $1::int8 and a.account = t.account
     where t.account = $2 and t.job_id in (select id from chain) and t.kind = 0 and t.key <> '' and t.state = 'done'
     order by t.id desc limit 1
    returning account)
  update weir.job_accounts a set looked_again = true from asked
   where a.job_id = $1::int8 and a.account = asked.account
  returning pg_notify('weir_dispatch', ''))sql";

constexpr std::string_view kIncompleteSql =
    "update weir.job_accounts set incomplete_reason = $3 where job_id = $1::int8 and account = $2";

Result<std::optional<std::int64_t>> Number(pg::Session& session, std::string_view sql,
                                           const pg::ParamsList& params, std::string_view name) {
  auto rows = session.Exec(sql, params, name);
  if (!rows) return Fail(rows.error());
  if (rows->Empty() || rows->IsNull(0, 0)) return std::optional<std::int64_t>();
  return std::optional(rows->Int(0, 0));
}

struct Ending {
  std::string account;
  std::int64_t before = 0, after = 0;
  bool looked_again = false;
};

Result<void> CheckAccount(pg::Session& session, const std::string& job_id, const Ending& ending) {
  const pg::ParamsList of{job_id, ending.account};
  auto met = Number(session, kMetSql, of, "count_met");
  if (!met) return Fail(met.error());
  // The last total is told when nothing that it counts is left unread behind it, or is read next: so all of
  // it has come. What was deleted before that it does not count; what was deleted since is explained by a
  // second look. The first total proves nothing more: what came meanwhile must not make up for what did not.
  const std::int64_t missing = ending.after - met->value_or(0);
  if (missing <= 0) return {};
  auto unnamed = Number(session, kUnnamedSql, of, "count_unnamed");
  if (!unnamed) return Fail(unnamed.error());
  if (missing <= unnamed->value_or(0)) return {};
  std::string reason =
      fmt::format("{} different records came, and the upstream told of {} at the beginning and {} at the end",
                  met->value_or(0), ending.before, ending.after);
  if (!ending.looked_again) {
    auto asked = session.Exec(kAskAgainSql, of, "ask_again");
    if (!asked) return Fail(asked.error());
    if (!asked->Empty()) return {};
  } else {
    auto before = Number(session, kShortBeforeSql, of, "short_before");
    if (!before) return Fail(before.error());
    if (*before == missing) reason += fmt::format("; {} are missing, as in the full sync before", missing);
  }
  auto noted = session.Exec(kIncompleteSql, {job_id, ending.account, reason});
  if (!noted) return Fail(noted.error());
  return {};
}

}  // namespace

Result<void> CheckTotals(pg::Session& session, const std::string& job_id) {
  auto rows = session.Exec(kEndingSql, {job_id}, "ending_totals");
  if (!rows) return Fail(rows.error());
  for (int i = 0; i < rows->Size(); ++i) {
    Ending ending{std::string(rows->Text(i, 0)), rows->Int(i, 1), 0, rows->Bool(i, 3)};
    ending.after = rows->IsNull(i, 2) ? ending.before : rows->Int(i, 2);
    if (auto checked = CheckAccount(session, job_id, ending); !checked) return checked;
  }
  return {};
}

}  // namespace weir::ledger
