#include "common/ledger/jobs.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

namespace weir::ledger {
namespace {

constexpr char kRfc3339[] = "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'";

std::string TimeSql(const std::string& column) {
  return "coalesce(to_char(" + column + " at time zone 'UTC', " + kRfc3339 + "), '')";
}

std::string JobsSql(std::string_view where) {
  return "select id, source, stream, mode, state, priority, " + TimeSql("created_at") + ", " +
         TimeSql("started_at") + ", " + TimeSql("finished_at") + ", " + TimeSql("deadline_at") +
         ", coalesce(extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at), 0)::float8 "
         "from weir.jobs where " +
         std::string(where);
}

// The accounts of the jobs $1 whose tasks must be added up.
constexpr std::string_view kUnsummedSql = R"sql(
  select a.job_id, a.account from weir.job_accounts a
   where a.job_id = any($1::int8[])
     and not exists (select from weir.account_sums s where s.job_id = a.job_id and s.account = a.account))sql";

// One row an account of the jobs $1, with its sums: as they were stored when it ended (weir.account_sums),
// else over its tasks and those that are gone, which are looked at in the jobs $2 for the accounts $3 alone.
// A meter waits when all its lanes do; an account waits when its meter does, or when all that is left of it
// is parked. Waits of milliseconds are the pace, not news.
constexpr std::string_view kAccountsSql = R"sql(
  select a.job_id, a.account, a.mode, a.state, coalesce(a.error_class, ''), coalesce(a.error_message, ''),
         coalesce(a.error_hint, ''),
         coalesce(extract(epoch from coalesce(a.finished_at, clock_timestamp()) - a.started_at), 0)::float8,
         coalesce(s.pages, coalesce(t.pages, 0) + g.pages), coalesce(s.fetched, coalesce(t.fetched, 0) + g.fetched),
         coalesce(s.inserted, coalesce(t.inserted, 0) + g.inserted), coalesce(s.updated, coalesce(t.updated, 0) + g.updated),
         coalesce(s.unchanged, coalesce(t.unchanged, 0) + g.unchanged),
         coalesce(s.rejected, coalesce(t.rejected, 0) + g.rejected),
         coalesce(s.duplicates, coalesce(t.duplicates, 0) + g.duplicates),
         coalesce(s.dead_pages, coalesce(t.dead_pages, 0) + g.dead_pages),
         coalesce(s.requests, coalesce(t.requests, 0) + g.requests),
         coalesce(s.planned_tasks, coalesce(t.planned_tasks, 0) + g.tasks),
         coalesce(s.planned_tasks, coalesce(t.finished_tasks, 0) + g.tasks), a.planned and coalesce(t.open_discovers, 0) = 0,
         case when t.open_tasks > 0
              then coalesce(l.waiting_for, case when t.parked = t.open_tasks
                                                then case when t.unwritten is null then 'backoff' else 'database' end end, '')
              else '' end,
         case when t.open_tasks > 0 then coalesce(l.ms, case when t.parked = t.open_tasks then t.parked_ms end, 0)
              else 0 end,
         a.stale, coalesce(a.sweep, ''), coalesce(a.sweep_reason, ''), a.total_before, a.total_after, a.met,
         a.carried, a.estimate, coalesce(a.incomplete_reason, ''), coalesce(t.unwritten, '')
    from weir.job_accounts a
    left join weir.account_sums s on s.job_id = a.job_id and s.account = a.account
    left join (
      select job_id, account, sum(pages) as pages, sum(fetched) as fetched, sum(inserted) as inserted,
             sum(updated) as updated, sum(unchanged) as unchanged, sum(rejected) as rejected,
             sum(duplicates) as duplicates, sum(requests) as requests,
             count(*) filter (where state = 'dead' and kind <> 0) as dead_pages,
             count(*) filter (where kind <> 0) as planned_tasks,
             count(*) filter (where kind <> 0 and state in ('done', 'dead', 'cancelled', 'expired')) as finished_tasks,
             count(*) filter (where kind = 0 and state in ('planned', 'dispatched', 'running', 'parked')) as open_discovers,
             count(*) filter (where state in ('planned', 'dispatched', 'running', 'parked')) as open_tasks,
             count(*) filter (where state = 'parked' and not_before > clock_timestamp()) as parked,
             extract(epoch from min(not_before) filter (where state = 'parked') - clock_timestamp()) * 1000 as parked_ms,
             max(error_message) filter (where error_class = 'database'
                                          and state in ('planned', 'dispatched', 'running', 'parked')) as unwritten
        from weir.tasks
       where cardinality($2::int8[]) > 0 and job_id = any($2::int8[]) and account = any($3::text[])
       group by job_id, account) t on s.job_id is null and t.job_id = a.job_id and t.account = a.account
    cross join lateral (
      select coalesce(sum(pages), 0) as pages, coalesce(sum(fetched), 0) as fetched, coalesce(sum(inserted), 0) as inserted,
             coalesce(sum(updated), 0) as updated, coalesce(sum(unchanged), 0) as unchanged,
             coalesce(sum(rejected), 0) as rejected, coalesce(sum(duplicates), 0) as duplicates,
             coalesce(sum(requests), 0) as requests,
             coalesce(sum(tasks) filter (where state = 'dead' and not plan), 0) as dead_pages,
             coalesce(sum(tasks) filter (where not plan), 0) as tasks
        from weir.gone_tasks k where s.job_id is null and k.job_id = a.job_id and k.account = a.account) g
    left join lateral (
      select (array_agg(coalesce(waiting_for, 'pace') order by not_before))[1] as waiting_for,
             extract(epoch from min(not_before) - clock_timestamp()) * 1000 as ms
        from weir.lanes where meter = a.meter
      having bool_and(coalesce(not_before > clock_timestamp() + interval '500 ms', false))) l on true
   where a.job_id = any($1::int8[])
   order by a.job_id, a.position)sql";

AccountStatus ReadAccount(const pg::Rows& rows, int i) {
  AccountStatus a;
  a.account = rows.Text(i, 1);
  a.mode = rows.Text(i, 2);
  a.state = rows.Text(i, 3);
  a.error_class = rows.Text(i, 4);
  a.error_message = rows.Text(i, 5);
  a.error_hint = rows.Text(i, 6);
  a.counters.seconds = rows.Double(i, 7);
  std::int64_t Counters::*const fields[] = {
      &Counters::pages,      &Counters::fetched,    &Counters::inserted,
      &Counters::updated,    &Counters::unchanged,  &Counters::rejected,
      &Counters::duplicates, &Counters::dead_pages, &Counters::requests};
  int column = 8;
  for (const auto field : fields) a.counters.*field = rows.Int(i, column++);
  a.planned_tasks = rows.Int(i, 17);
  a.finished_tasks = rows.Int(i, 18);
  a.planned = rows.Bool(i, 19);
  a.waiting_for = rows.Text(i, 20);
  a.waiting_ms = static_cast<std::int64_t>(std::max(0.0, rows.Double(i, 21)));
  a.counters.stale = rows.Int(i, 22);
  a.sweep = rows.Text(i, 23);
  a.sweep_reason = rows.Text(i, 24);
  if (!rows.IsNull(i, 25)) a.total_before = rows.Int(i, 25);
  if (!rows.IsNull(i, 26)) a.total_after = rows.Int(i, 26);
  if (!rows.IsNull(i, 27)) a.met = rows.Int(i, 27);
  a.carried = rows.Int(i, 28);
  if (!rows.IsNull(i, 29)) a.estimate = rows.Int(i, 29);
  a.incomplete_reason = rows.Text(i, 30);
  if (a.waiting_for == "database") a.waiting_reason = rows.Text(i, 31);
  return a;
}

JobStatus ReadJob(const pg::Rows& rows, int i) {
  JobStatus job;
  job.id = JobId{rows.Int(i, 0)};
  job.source = rows.Text(i, 1);
  job.stream = rows.Text(i, 2);
  job.mode = rows.Text(i, 3);
  job.state = rows.Text(i, 4);
  job.priority = rows.Text(i, 5);
  job.created_at = rows.Text(i, 6);
  job.started_at = rows.Text(i, 7);
  job.finished_at = rows.Text(i, 8);
  job.deadline_at = rows.Text(i, 9);
  job.seconds = rows.Double(i, 10);
  job.totals.seconds = job.seconds;
  return job;
}

// The jobs of one query over weir.jobs, with their accounts, in the query's order.
Result<std::vector<JobStatus>> LoadJobs(pg::Session& session, const std::string& sql,
                                        const pg::ParamsList& params) {
  auto rows = session.Exec(sql, params);
  if (!rows) return Fail(rows.error());
  std::vector<JobStatus> jobs;
  std::vector<std::int64_t> ids;
  std::map<std::int64_t, std::size_t> place;
  for (int i = 0; i < rows->Size(); ++i) {
    place[rows->Int(i, 0)] = jobs.size();
    ids.push_back(rows->Int(i, 0));
    jobs.push_back(ReadJob(*rows, i));
  }
  if (jobs.empty()) return jobs;
  auto unsummed = session.Exec(kUnsummedSql, {pg::ArrayLiteral(ids)}, "unsummed_accounts");
  if (!unsummed) return Fail(unsummed.error());
  std::set<std::int64_t> open;
  std::set<std::string> names;
  for (int i = 0; i < unsummed->Size(); ++i) {
    open.insert(unsummed->Int(i, 0));
    names.emplace(unsummed->Text(i, 1));
  }
  auto accounts = session.Exec(
      kAccountsSql,
      {pg::ArrayLiteral(ids), pg::ArrayLiteral(std::vector<std::int64_t>(open.begin(), open.end())),
       pg::ArrayLiteral(std::vector<std::string>(names.begin(), names.end()))},
      "job_accounts");
  if (!accounts) return Fail(accounts.error());
  for (int i = 0; i < accounts->Size(); ++i) {
    JobStatus& job = jobs[place.at(accounts->Int(i, 0))];
    job.accounts.push_back(ReadAccount(*accounts, i));
    job.totals.Add(job.accounts.back().counters);
  }
  return jobs;
}

}  // namespace

bool AccountStatus::FallsShort() const {
  constexpr std::int64_t kLeastPercent = 80;
  constexpr std::int64_t kMost = 1'000'000'000'000;  // an upstream may say anything
  if (state != "succeeded" || !estimate) return false;
  return (carried + counters.fetched) * 100 < std::min(*estimate, kMost) * kLeastPercent;
}

void Counters::Add(const Counters& other) {
  pages += other.pages;
  fetched += other.fetched;
  inserted += other.inserted;
  updated += other.updated;
  unchanged += other.unchanged;
  rejected += other.rejected;
  duplicates += other.duplicates;
  dead_pages += other.dead_pages;
  stale += other.stale;
  requests += other.requests;
}

Result<JobStatus> GetJob(pg::Session& session, JobId id) {
  auto jobs = LoadJobs(session, JobsSql("id = $1::int8"), {std::to_string(id.value)});
  if (!jobs) return Fail(jobs.error());
  if (jobs->empty()) {
    return Fail(ErrorClass::kNotFound, "there is no job " + std::to_string(id.value), "see: weir jobs list");
  }
  return std::move(jobs->front());
}

Result<std::vector<JobStatus>> ListJobs(pg::Session& session, int limit, bool open_only,
                                        std::optional<JobId> before) {
  const std::string which = open_only ? "state in ('queued', 'running', 'paused') and " : "";
  return LoadJobs(session, JobsSql(which + "id < $2::int8 order by id desc limit $1::int"),
                  {std::to_string(limit),
                   std::to_string(before ? before->value : std::numeric_limits<std::int64_t>::max())});
}

Result<std::int64_t> CountLiveWorkers(pg::Session& session, std::chrono::milliseconds within) {
  auto rows = session.Exec(
      "select count(*) from weir.workers where seen_at > clock_timestamp() - $1::int8 * interval '1 ms'",
      {std::to_string(within.count())});
  if (!rows) return Fail(rows.error());
  return rows->Int(0, 0);
}

Result<WorkersMemory> LiveWorkersMemory(pg::Session& session, std::chrono::milliseconds within) {
  auto rows = session.Exec(
      "select count(*), coalesce(sum(memory), 0), coalesce(max(memory), 0) from weir.workers "
      "where seen_at > clock_timestamp() - $1::int8 * interval '1 ms'",
      {std::to_string(within.count())}, "workers_memory");
  if (!rows) return Fail(rows.error());
  return WorkersMemory{rows->Int(0, 0), rows->Int(0, 1), rows->Int(0, 2)};
}

}  // namespace weir::ledger
