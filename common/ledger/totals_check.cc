#include "common/ledger/totals_check.h"

#include <fmt/core.h>

#include <algorithm>

namespace weir::ledger {
namespace {

// Accounts of which every task is done and that nothing else calls incomplete.
constexpr std::string_view kEndingSql = R"sql(
  select a.account, a.total_before, a.total_after, a.looked_again
    from weir.job_accounts a join weir.jobs j on j.id = a.job_id
   where a.job_id = $1::int8 and a.state in ('queued', 'running', 'paused') and a.mode = 'full'
     and j.record_limit is null and a.total_before is not null and a.incomplete_reason is null
     and not exists (select from weir.tasks t where t.job_id = a.job_id and t.account = a.account
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

}  // namespace

Result<void> CheckTotals(pg::Session& session, const std::string& job_id) {
  auto ending = session.Exec(kEndingSql, {job_id}, "ending_totals");
  if (!ending) return Fail(ending.error());
  for (int i = 0; i < ending->Size(); ++i) {
    const std::string account(ending->Text(i, 0));
    const std::int64_t before = ending->Int(i, 1);
    const std::int64_t after = ending->IsNull(i, 2) ? before : ending->Int(i, 2);
    auto met = session.Exec(kMetSql, {job_id, account}, "count_met");
    if (!met) return Fail(met.error());
    // What was there all the time has come. What the total fell by may have been deleted before it was read;
    // growth explains nothing.
    if (met->Int(0, 0) >= std::min(before, after)) continue;
    if (!ending->Bool(i, 3)) {
      auto asked = session.Exec(kAskAgainSql, {job_id, account}, "ask_again");
      if (!asked) return Fail(asked.error());
      if (!asked->Empty()) continue;
    }
    const std::string reason = fmt::format(
        "{} different records came, and the upstream told of {} at the beginning and {} at the end",
        met->Int(0, 0), before, after);
    auto noted = session.Exec(kIncompleteSql, {job_id, account, reason});
    if (!noted) return Fail(noted.error());
  }
  return {};
}

}  // namespace weir::ledger
