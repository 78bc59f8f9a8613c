#include "common/ledger/dispatch.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/ledger/leave_running.h"
#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

using std::chrono::milliseconds;

// A lane that waits longer than this has its delivered tasks parked (DESIGN §5): sending it more would only
// move them around.
constexpr char kLaneWait[] = "interval '5 s'";

// For each lane with room, the first tasks of each of its jobs, read along the index tasks_ready and never
// sorted as a whole: a lane may have a million of them. Of those, jobs take turns: everyone's first task
// before anyone's second, the turn beginning after the job that was served last. Bulk tasks that are out take
// no room from interactive ones, which the worker takes first: else a user would wait for them to end.
// $1 ahead_ms, $2 min_ahead, $3 max_ahead, $4 batch.
constexpr std::string_view kTakeSql = R"sql(
  with pairs as materialized (
    select distinct j.id as job_id, a.meter, j.priority = 'bulk' as bulk
      from weir.jobs j join weir.job_accounts a on a.job_id = j.id
     where j.state in ('queued', 'running') and j.closing is null
       and a.state in ('queued', 'running') and a.refused_by is null),
  outstanding as materialized (
    select t.meter, t.lane, count(*) as n, count(*) filter (where j.priority = 'interactive') as interactive
      from weir.tasks t join weir.jobs j on j.id = t.job_id
     where t.state in ('dispatched', 'running') group by t.meter, t.lane),
  open_lanes as materialized (
    select l.meter, l.lane, l.last_job,
           case when l.task_ms <= 0 then $2::int
                else least($3::int, greatest($2::int, ceil($1::float8 / greatest(l.task_ms, 1))))::int end as ahead,
           coalesce(o.n, 0)::int as out, coalesce(o.interactive, 0)::int as interactive_out
      from weir.lanes l left join outstanding o using (meter, lane)
     where l.meter in (select meter from pairs)
       and (l.not_before is null or l.not_before <= clock_timestamp() + {0})),
  ready as materialized (
    select t.id, l.meter, l.lane, r.room, l.last_job, p.job_id, p.bulk,
           row_number() over (partition by l.meter, l.lane, p.job_id order by t.id) as turn
      from open_lanes l
      join pairs p on p.meter = l.meter
      cross join lateral (select l.ahead - case when p.bulk then l.out else l.interactive_out end as room) r
      cross join lateral (
        select id from weir.tasks
         where meter = l.meter and lane = l.lane and job_id = p.job_id
           and state in ('planned', 'parked') and (state = 'planned' or not_before <= clock_timestamp())
         order by meter, lane, job_id, id limit greatest(r.room, 0)) t),
  placed as materialized (
    select *, row_number() over (partition by meter, lane
                                 order by bulk, turn, (job_id <= last_job)::int, job_id) as place
      from ready)
  select t.id, t.job_id, t.meter, t.lane, j.source, j.stream, t.account, t.kind, t.lo, t.hi, t.key, p.bulk,
         t.attempts, j.traceparent, t.epoch
    from placed p join weir.tasks t on t.id = p.id join weir.jobs j on j.id = p.job_id
   where p.place <= p.room
   order by p.place, p.meter, p.lane limit $4::int)sql";

ReadyTask ReadReady(const pg::Rows& rows, int i) {
  ReadyTask task;
  task.id = TaskId{rows.Int(i, 0)};
  task.job = JobId{rows.Int(i, 1)};
  task.lane = LaneId{std::string(rows.Text(i, 2)), static_cast<int>(rows.Int(i, 3))};
  task.source = rows.Text(i, 4);
  task.stream = rows.Text(i, 5);
  task.account = rows.Text(i, 6);
  task.selector = Selector{static_cast<SelectorKind>(rows.Int(i, 7)), rows.Int(i, 8), rows.Int(i, 9),
                           std::string(rows.Text(i, 10))};
  task.interactive = !rows.Bool(i, 11);
  task.attempts = static_cast<int>(rows.Int(i, 12));
  task.traceparent = rows.Text(i, 13);
  task.epoch = Epoch{rows.Int(i, 14)};
  return task;
}

// The tasks that are still as TakeReady saw them. One that its worker claimed and parked in the meantime (the
// message was faster than this statement) has another epoch and stays, also when it is due again already: it
// would count as sent, and nobody would send it. The lanes' turn is kept on the way; a lane that someone
// else is writing is left out, since nothing may wait here for a worker's lease.
constexpr std::string_view kMarkSql = R"sql(
  with sent as (
    update weir.tasks t set state = 'dispatched', not_before = null, dispatched_at = clock_timestamp(),
           dispatches = t.dispatches + 1
      from unnest($1::int8[], $2::int8[]) with ordinality u (id, epoch, place)
     where t.id = u.id and t.epoch = u.epoch and (t.state = 'planned' or (t.state = 'parked' and t.not_before <= clock_timestamp()))
    returning t.id, t.meter, t.lane, t.job_id, u.place),
  last as (
    select distinct on (meter, lane) meter, lane, job_id from sent order by meter, lane, place desc),
  free as (
    select l.meter, l.lane, last.job_id from weir.lanes l join last using (meter, lane) for update of l skip locked),
  turned as (
    update weir.lanes l set last_job = free.job_id from free where l.meter = free.meter and l.lane = free.lane)
  select count(*) from sent)sql";

// See the header for the rules; $1 = idle in ms, $2 = the longest a running task may stand still, in ms.
constexpr std::string_view kRequeueSql = R"sql(
  with alive as (
    select exists (select from weir.workers where seen_at > clock_timestamp() - interval '15 s') as any_worker),
  outstanding as materialized (
    select t.id, t.epoch, t.state, t.owner, t.meter, t.lane, t.dispatched_at, t.advanced_at, t.dispatches,
           l.holder, l.lease_until > clock_timestamp() as held, l.updated_at, l.not_before,
           coalesce(t.advanced_at < w.holding_at - interval '1 s' and t.id <> all(w.holding), false) as let_go
      from weir.tasks t left join weir.lanes l using (meter, lane) left join weir.workers w on w.id = t.owner
     where t.state in ('dispatched', 'running')),
  busy as (
    select distinct meter, lane from outstanding where state = 'running' and held and owner = holder),
  lost as (
    select o.id, o.epoch, o.state, o.advanced_at, o.let_go from outstanding o, alive
     where case o.state
             when 'running' then
               o.let_go or case when o.held and o.owner = o.holder
                    then o.advanced_at < clock_timestamp() - $2::int8 * interval '1 ms'
                    else o.advanced_at < clock_timestamp() - $1::int8 * interval '1 ms' end
             else alive.any_worker
                  and o.dispatched_at < clock_timestamp()
                        - $1::int8 * interval '1 ms' * least(power(2, greatest(o.dispatches - 1, 0)), 16)
                  and (o.not_before is null or o.not_before < clock_timestamp() - $1::int8 * interval '1 ms')
                  and (not coalesce(o.held, false) or o.updated_at < clock_timestamp() - $1::int8 * interval '1 ms')
                  and not exists (select from busy b where b.meter = o.meter and b.lane = o.lane) end)
  update weir.tasks t set {0}, crashes = t.crashes + (t.state = 'running' and not l.let_go)::int
    from (select id from weir.tasks where id in (select id from lost) order by id for update skip locked) free
    join lost l using (id)
   where t.id = l.id and t.state in ('dispatched', 'running') and t.epoch = l.epoch and t.state = l.state
     and t.advanced_at is not distinct from l.advanced_at)sql";

Result<std::int64_t> Affected(Result<pg::Rows> rows) {
  if (!rows) return Fail(rows.error());
  return rows->Affected();
}

}  // namespace

Result<std::vector<ReadyTask>> TakeReady(pg::Session& session, const DispatchLimits& limits) {
  // Statistics of a table that has just taken a plan of a million tasks say nothing: pin the plan to the
  // index.
  Transaction transaction(session);
  auto begun = transaction.Begin(
      "set local enable_seqscan = off; set local enable_bitmapscan = off; "
      "set local enable_mergejoin = off; set local jit = off");
  if (!begun) return Fail(begun.error());
  static const std::string kSql = fmt::format(fmt::runtime(kTakeSql), kLaneWait);
  auto rows = session.Exec(kSql,
                           {fmt::format("{}", limits.ahead_ms), std::to_string(limits.min_ahead),
                            std::to_string(limits.max_ahead), std::to_string(limits.batch)},
                           "take_ready");
  if (!rows) return Fail(rows.error());
  std::vector<ReadyTask> tasks;
  tasks.reserve(static_cast<std::size_t>(rows->Size()));
  for (int i = 0; i < rows->Size(); ++i) tasks.push_back(ReadReady(*rows, i));
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return tasks;
}

Result<std::int64_t> MarkDispatched(pg::Session& session, const std::vector<SentTask>& sent) {
  if (sent.empty()) return 0;
  std::vector<std::int64_t> ids, epochs;
  ids.reserve(sent.size());
  epochs.reserve(sent.size());
  for (const SentTask& task : sent) {
    ids.push_back(task.id.value);
    epochs.push_back(task.epoch.value);
  }
  auto rows = session.Exec(kMarkSql, {pg::ArrayLiteral(ids), pg::ArrayLiteral(epochs)}, "mark_dispatched");
  if (!rows) return Fail(rows.error());
  return rows->Int(0, 0);
}

Result<std::int64_t> RequeueLost(pg::Session& session, milliseconds idle) {
  static const std::string kSql = fmt::format(fmt::runtime(kRequeueSql), LeaveRunning("'planned'"));
  return Affected(session.Exec(
      kSql,
      {std::to_string(idle.count()), std::to_string(std::max<milliseconds>(idle * 30, kStuckTask).count())},
      "requeue_lost"));
}

Result<std::int64_t> RequeueOwner(pg::Session& session, const std::string& owner, bool crashed) {
  static const std::string kSql =
      "with back as (update weir.tasks t set " + LeaveRunning("'planned'") +
      ", crashes = crashes + $2::int "
      "where state in ('dispatched', 'running') and state = 'running' and owner = $1 returning id) "
      "select id, pg_notify('weir_dispatch', '') from back";
  return Affected(session.Exec(kSql, {owner, crashed ? "1" : "0"}));
}

Result<std::int64_t> RequeueSent(pg::Session& session) {
  return Affected(
      session.Exec("update weir.tasks set state = 'planned' where id in (select id from weir.tasks "
                   "where state = 'dispatched' for update skip locked)"));
}

Result<std::int64_t> RequeueFromBeforeRestart(pg::Session& session) {
  return Affected(session.Exec(
      "update weir.tasks set state = 'planned' where id in (select id from weir.tasks where "
      "state = 'dispatched' and dispatched_at < pg_postmaster_start_time() for update skip locked)",
      {}, "requeue_restart"));
}

Result<std::int64_t> ReturnMisplaced(pg::Session& session) {
  static const std::string kSql =
      "update weir.tasks t set " +
      LeaveRunning("case t.state when 'parked' then 'parked' else 'planned' end") + R"sql(,
           meter = m.meter, lane = t.lane % m.lanes
      from (select t.id, a.meter, a.lanes
              from weir.jobs j join weir.job_accounts a on a.job_id = j.id
              join weir.tasks t on t.job_id = a.job_id and t.account = a.account
             where j.state in ('queued', 'running', 'paused') and a.moves > 0
               and t.state in ('planned', 'parked', 'dispatched') and (t.meter <> a.meter or t.lane >= a.lanes)
             limit 10000 for update of t skip locked) m
     where t.id = m.id)sql";
  return Affected(session.Exec(kSql, {}, "return_misplaced"));
}

Result<milliseconds> NextDue(pg::Session& session, milliseconds cap) {
  static const std::string kSql = fmt::format(
      "select ceil(extract(epoch from least((select min(not_before) from weir.tasks where state = 'parked' "
      "and not_before > clock_timestamp() - interval '20 ms'), "
      "(select min(deadline_at) from weir.jobs where state in ('queued', 'running', 'paused') "
      "and deadline_at > clock_timestamp() - interval '20 ms'), "
      "(select min(not_before) - {0} from weir.lanes where not_before > clock_timestamp() + {0})) "
      "- clock_timestamp()) * 1000)::int8",
      kLaneWait);
  auto rows = session.Exec(kSql, {}, "next_due");
  if (!rows) return Fail(rows.error());
  if (rows->IsNull(0, 0)) return cap;
  return std::clamp(milliseconds(rows->Int(0, 0)), milliseconds(0), cap);
}

}  // namespace weir::ledger
