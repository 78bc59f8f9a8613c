#include "common/ledger/prune_sql.h"

#include <fmt/core.h>

namespace weir::ledger {
namespace {

constexpr std::string_view kDueSql = R"sql(
  select j.id from weir.jobs j
   where j.finished_at is not null and j.finished_at < clock_timestamp() - $1::int8 * interval '1 ms'
     and ($3::int8 is null or j.id = $3::int8) and {}
   order by j.finished_at limit $2::int)sql";

// An expired job that the next run of the same sync goes on with keeps all its tasks until its failures go.
constexpr std::string_view kTasksDue = R"sql(
     not j.tasks_pruned
     and not (j.state = 'expired' and j.failures_pruned is distinct from 'done'
              and not exists (select from weir.jobs n where n.fingerprint = j.fingerprint and n.id > j.id)))sql";

constexpr std::string_view kFailuresDue = "j.failures_pruned is distinct from 'done'";

// What looks back at a job: a sweep that is due or held rests on it, or must know that it read the account
// (sweep_plan.cc); an open job goes on with its chain (sweep_rows.cc, totals_check.cc); the account's next
// full sync is compared with the last one that fell short of the upstream's total (totals_check.cc).
constexpr std::string_view kJobsDue = R"sql(
     not exists (select from weir.job_accounts a join weir.job_accounts h on h.account = a.account
                  where a.job_id = j.id and h.sweep in ('due', 'held'))
     and not exists (
       with recursive later as (
         select n.id, n.finished_at from weir.jobs n where n.continues = j.id
         union all
         select n.id, n.finished_at from later l join weir.jobs n on n.continues = l.id)
       select from later l join weir.job_accounts a on a.job_id = l.id
        where l.finished_at is null and a.mode = 'full' and a.began_at <= j.created_at)
     and not exists (
       select from weir.job_accounts a
        where a.job_id = j.id and a.looked_again and a.mode = 'full' and a.state in ('succeeded', 'partial')
          and j.record_limit is null and j.since_ms is null and j.until_ms is null
          and not exists (
            select from weir.job_accounts p join weir.jobs n on n.id = p.job_id
             where p.account = a.account and p.job_id > j.id and (n.source, n.stream) = (j.source, j.stream)
               and p.mode = 'full' and p.state in ('succeeded', 'partial') and n.record_limit is null
               and n.since_ms is null and n.until_ms is null)))sql";

// t = the task, a = its account. A dead letter that is due keeps its task. The plan of an account that did
// not succeed is asked once more when a replay, or the next run, ends short of the upstream's total
// (totals_check.cc).
constexpr std::string_view kIsFailure =
    "(t.state = 'dead' or t.rejected > 0 "
    "or (t.kind = 0 and t.state = 'done' and a.state in ('partial', 'failed', 'expired')))";

// The bounds are pairs, so that nothing but the index on them has the order: along the primary key a slice
// would pass over the tasks of all other jobs. What goes along with dead tasks is bounded, too: the rejects
// of their last pages.
constexpr std::string_view kTasksSql = R"sql(
  with next as materialized (
    select id, account, kind, state, rejected, letter_due, row_number() over (order by id) as place,
           sum(case when state = 'dead' then rejected else 0 end) over (order by id) as rejects
      from (select * from weir.tasks
             where (job_id, id) > ($1::int8, $2::int8) and (job_id, id) < ($1::int8 + 1, 0)
               and state in ('done', 'dead', 'cancelled', 'expired')
             order by job_id, id limit $3::int) n),
  slice as materialized (select * from next where place = 1 or rejects <= 5000),
  chosen as materialized (
    select t.id from slice t join weir.job_accounts a on a.job_id = $1::int8 and a.account = t.account
     where not t.letter_due and {}),
  rejects as (delete from weir.rejects r using chosen c where r.task_id = c.id returning 1),
  gone as (
    delete from weir.tasks t using chosen c
     where t.id = c.id and t.state in ('done', 'dead', 'cancelled', 'expired') returning t.*),
  added as (
    insert into weir.gone_tasks as g (job_id, account, plan, state, tasks, pages, fetched, inserted, updated, unchanged, rejected,
                                      duplicates, requests, refused, doubt, incomplete, began_at, advanced_at)
    select job_id, account, kind = 0, state, count(*), sum(pages), sum(fetched), sum(inserted), sum(updated), sum(unchanged),
           sum(rejected), sum(duplicates), sum(requests),
           count(*) filter (where state = 'dead' and error_class in ('auth', 'schema')), min(doubt), min(incomplete),
           min(coalesce(finished_at, advanced_at) - busy_ms * interval '1 ms'), max(advanced_at)
      from gone group by job_id, account, kind = 0, state
    on conflict (job_id, account, plan, state) do update
       set tasks = g.tasks + excluded.tasks, pages = g.pages + excluded.pages, fetched = g.fetched + excluded.fetched,
           inserted = g.inserted + excluded.inserted, updated = g.updated + excluded.updated,
           unchanged = g.unchanged + excluded.unchanged, rejected = g.rejected + excluded.rejected,
           duplicates = g.duplicates + excluded.duplicates, requests = g.requests + excluded.requests,
           refused = g.refused + excluded.refused, doubt = least(g.doubt, excluded.doubt),
           incomplete = least(g.incomplete, excluded.incomplete), began_at = least(g.began_at, excluded.began_at),
           advanced_at = greatest(g.advanced_at, excluded.advanced_at))
  select (select count(*) from slice), (select coalesce(max(id), 0) from slice), (select count(*) from gone),
         (select count(*) from rejects))sql";

}  // namespace

const std::string& DueSql(Part part) {
  static const std::string kTasks = fmt::format(fmt::runtime(kDueSql), kTasksDue);
  static const std::string kFailures = fmt::format(fmt::runtime(kDueSql), kFailuresDue);
  static const std::string kJobs = fmt::format(fmt::runtime(kDueSql), kJobsDue);
  return part == Part::kTasks ? kTasks : part == Part::kFailures ? kFailures : kJobs;
}

const std::string& TasksSql(Part part) {
  static const std::string kTasks = fmt::format(fmt::runtime(kTasksSql), fmt::format("not {}", kIsFailure));
  static const std::string kFailures =
      fmt::format(fmt::runtime(kTasksSql), fmt::format("({} or t.state = 'expired')", kIsFailure));
  static const std::string kJobs = fmt::format(fmt::runtime(kTasksSql), "true");
  return part == Part::kTasks ? kTasks : part == Part::kFailures ? kFailures : kJobs;
}

const std::string_view kRejectTasksSql = R"sql(
  select id, rejected, case when state = 'dead' then page else 9223372036854775807 end from weir.tasks
   where (job_id, id) > ($1::int8, $2::int8) and (job_id, id) < ($1::int8 + 1, 0)
     and state in ('done', 'dead', 'cancelled', 'expired') and rejected > 0
   order by job_id, id limit $3::int)sql";

const std::string_view kRejectsSql = R"sql(
  with next as materialized (
    select r.* from unnest($1::int8[], $2::int8[]) u (id, below)
     cross join lateral (
       select task_id, page, position from weir.rejects
        where task_id = u.id and page < u.below and (page, position) > ($3::int8, $4::int8)
        order by task_id, page, position limit $5::int) r),
  gone as (
    delete from weir.rejects r using next s
     where r.task_id = s.task_id and r.page = s.page and r.position = s.position returning r.page, r.position)
  select count(*), (array_agg(page order by page desc, position desc))[1],
         (array_agg(position order by page desc, position desc))[1] from gone)sql";

const std::string_view kAccountsSql = R"sql(
  with gone as (
    delete from weir.job_accounts where job_id = $1::int8 and account in (
      select account from weir.job_accounts where job_id = $1::int8 and account > $2
       order by job_id, account limit $3::int)
    returning account)
  select count(*), max(account) from gone)sql";

const std::string_view kGarbageSql = R"sql(
  with gone as (
    delete from weir.garbage where ctid = any(array(
      select ctid from weir.garbage
       where not letter_due and created_at < clock_timestamp() - $1::int8 * interval '1 ms' and created_at >= $2::timestamptz
       order by created_at, id limit $3::int for update skip locked))
    returning created_at)
  select count(*), max(created_at)::text from gone)sql";

const std::string_view kIdleLanesSql = R"sql(
  select meter, lane from weir.lanes
   where updated_at < clock_timestamp() - $1::int8 * interval '1 ms'
     and (lease_until is null or lease_until < clock_timestamp() - interval '1 hour')
     and (not_before is null or not_before < clock_timestamp())
     and meter not in (select a.meter from weir.jobs j join weir.job_accounts a on a.job_id = j.id
                        where j.state in ('queued', 'running', 'paused'))
   limit $2::int for update skip locked)sql";

const std::string_view kLanesSql = R"sql(
  delete from weir.lanes l using unnest($1::text[], $2::int[]) u (meter, lane)
   where l.meter = u.meter and l.lane = u.lane
     and l.meter not in (select a.meter from weir.jobs j join weir.job_accounts a on a.job_id = j.id
                          where j.state in ('queued', 'running', 'paused')))sql";

}  // namespace weir::ledger
