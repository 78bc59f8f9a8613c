#include "common/ledger/lane_list.h"

#include <algorithm>

#include "common/base/json_text.h"

namespace weir::ledger {
namespace {

constexpr std::string_view kLanesSql = R"sql(
  with open_tasks as (
    select meter, lane, count(*) filter (where state = 'running') as running,
           count(*) filter (where state = 'dispatched') as sent,
           count(*) filter (where state in ('planned', 'parked')) as waiting,
           min(account) filter (where state = 'running') as account,
           max(error_message) filter (where error_class = 'database') as unwritten
      from weir.tasks where state in ('planned', 'dispatched', 'running', 'parked') group by meter, lane)
  select l.meter, l.lane, coalesce(l.holder, ''), coalesce(w.host, ''), coalesce(w.pid, 0), l.delay_ms, l.task_ms,
         l.successes, l.throttles, coalesce(t.account, ''), coalesce(t.running, 0), coalesce(t.sent, 0),
         coalesce(t.waiting, 0), coalesce(l.waiting_for, ''),
         coalesce(to_char(l.not_before at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), ''),
         coalesce(extract(epoch from l.not_before - clock_timestamp()) * 1000, 0)::int8,
         case when l.waiting_for = 'database' then coalesce(t.unwritten, '') else '' end
    from (select l.meter, l.lane, l.delay_ms, l.task_ms, l.successes, l.throttles,
                 case when l.lease_until > clock_timestamp() then l.holder end as holder,
                 case when l.not_before > clock_timestamp() then l.not_before end as not_before,
                 case when l.not_before > clock_timestamp() then l.waiting_for end as waiting_for
            from weir.lanes l) l
    left join weir.workers w on w.id = l.holder
    left join open_tasks t using (meter, lane)
   where $1 = '' or l.meter in (select a.meter from weir.job_accounts a where lower(a.account) = lower($1))
   order by l.meter, l.lane)sql";

}  // namespace

Result<std::vector<LaneStatus>> ListLanes(pg::Session& session, const std::string& account) {
  auto rows = session.Exec(kLanesSql, {account});
  if (!rows) return Fail(rows.error());
  if (rows->Empty() && !account.empty()) {
    return Fail(ErrorClass::kNotFound, "no job ever had an account " + Printable(account, 60),
                "weir lanes, without --account, shows all");
  }
  std::vector<LaneStatus> lanes;
  for (int i = 0; i < rows->Size(); ++i) {
    LaneStatus l;
    l.lane = LaneId{std::string(rows->Text(i, 0)), static_cast<int>(rows->Int(i, 1))};
    l.owner = rows->Text(i, 2);
    l.host = rows->Text(i, 3);
    l.pid = static_cast<int>(rows->Int(i, 4));
    l.delay_ms = rows->Double(i, 5);
    l.task_ms = rows->Double(i, 6);
    l.successes = rows->Int(i, 7);
    l.throttles = rows->Int(i, 8);
    l.account = rows->Text(i, 9);
    l.running = rows->Int(i, 10);
    l.sent = rows->Int(i, 11);
    l.waiting = rows->Int(i, 12);
    l.waiting_for = rows->Text(i, 13);
    l.until = rows->Text(i, 14);
    l.waiting_ms = std::max<std::int64_t>(0, rows->Int(i, 15));
    l.waiting_reason = rows->Text(i, 16);
    lanes.push_back(std::move(l));
  }
  return lanes;
}

Result<DatabaseWaits> ListDatabaseWaits(pg::Session& session) {
  auto rows = session.Exec(
      "select (select count(*) from weir.lanes where waiting_for = 'database' and not_before > "
      "clock_timestamp()), "
      "coalesce((select error_message from weir.tasks where state = 'parked' and error_class = 'database' "
      "order by id limit 1), '')");
  if (!rows) return Fail(rows.error());
  return DatabaseWaits{rows->Int(0, 0), std::string(rows->Text(0, 1))};
}

}  // namespace weir::ledger
