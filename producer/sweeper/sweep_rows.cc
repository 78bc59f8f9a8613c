#include "producer/sweeper/sweep_rows.h"

#include <fmt/core.h>

#include <algorithm>

namespace weir {
namespace {

constexpr std::string_view kLockSql = R"sql(
  select j.source, j.stream, a.state, coalesce(a.sweep, ''), coalesce(a.sweep_reason, ''), a.began_at::text,
         j.since_ms, j.until_ms, a.mode = 'full' and j.record_limit is null, coalesce(a.doubt, ''),
         coalesce(a.empty_at_start, false), a.total_before, a.total_after
    from weir.job_accounts a join weir.jobs j on j.id = a.job_id
   where a.job_id = $1::int8 and a.account = $2 for update of a)sql";

// Over the jobs of the chain in which the account's plan was carried on: those since it began. Tasks that are
// gone count like those that are there.
constexpr std::string_view kChainSql = R"sql(
  with recursive all_before as (
    select id, continues, created_at, now_ms from weir.jobs where id = $1::int8
    union all
    select j.id, j.continues, j.created_at, j.now_ms from all_before c join weir.jobs j on j.id = c.continues),
  chain as (select id, now_ms from all_before where created_at >= $3::timestamptz)
  select (select min(now_ms) from chain),
         coalesce(sum(t.stored), 0)::int8, coalesce(min(t.doubt), ''),
         (select coalesce(sum(cardinality(s.hashes)), 0) from weir.seen s
           where (s.source, s.stream, s.account) = ($4, $5, $2) and s.noted_at >= $3::timestamptz
             and s.job_id in (select id from chain)),
         count(*) filter (where t.job_id = $1::int8 and t.state <> 'done'),
         count(*) filter (where t.plan and t.state = 'done')
    from (select k.job_id, k.state, k.kind = 0 as plan, k.inserted + k.updated + k.unchanged as stored, k.doubt
            from weir.tasks k where k.account = $2 and k.job_id in (select id from chain)
          union all
          select k.job_id, k.state, k.plan, k.inserted + k.updated + k.unchanged, k.doubt
            from weir.gone_tasks k where k.account = $2 and k.job_id in (select id from chain)) t)sql";

std::optional<std::int64_t> OptionalInt(const pg::Rows& rows, int column) {
  if (rows.IsNull(0, column)) return std::nullopt;
  return rows.Int(0, column);
}

std::string TimeSql(std::int64_t ms) { return fmt::format("timestamptz 'epoch' + {} * interval '1 ms'", ms); }

// The rows a sweep is about, as a condition on t: the account's, not stale, within what the job asked for.
std::string ScopeSql(const SweepBasis& basis) {
  std::string sql = "t.account = $3 and t.stale_at is null";
  const std::string_view time = basis.info->table.time_column;
  if (time.empty()) return sql;
  std::int64_t until = basis.now_ms - basis.info->sweep.settle.count();
  if (basis.until_ms) until = std::min(until, *basis.until_ms);
  if (basis.since_ms) sql += fmt::format(" and t.{} >= {}", time, TimeSql(*basis.since_ms));
  return sql + fmt::format(" and t.{} < {}", time, TimeSql(until));
}

// $1 source, $2 stream, $3 account, $4 when the job began. `met`: by anyone since.
constexpr std::string_view kMetSql =
    "with met as (select unnest(hashes) as hash from weir.seen "
    "where (source, stream, account) = ($1, $2, $3) and noted_at >= $4::timestamptz) ";

// Records that were not final are left to incremental syncs, which ask for them one by one.
constexpr std::string_view kGoneSql =
    " and t.updated_at < $4::timestamptz "
    "and not exists (select from met where met.hash = hashtextextended(t.id, 0)) "
    "and not exists (select from weir.watched w where (w.source, w.stream, w.account, w.id) = ($1, $2, $3, "
    "t.id))";

pg::ParamsList ParamsOf(const SweepBasis& basis) {
  return {basis.source, basis.stream, basis.account, basis.began_at};
}

std::string TableOf(const SweepBasis& basis) {
  return fmt::format("{}.{} t", basis.info->table.schema, basis.info->table.name);
}

Result<void> AddChain(pg::Session& session, SweepBasis& basis) {
  auto rows = session.Exec(kChainSql, {std::to_string(basis.job.value), basis.account, basis.began_at,
                                       basis.source, basis.stream});
  if (!rows) return Fail(rows.error());
  basis.now_ms = rows->Int(0, 0);
  basis.facts.stored = rows->Int(0, 1);
  if (basis.facts.doubt.empty()) basis.facts.doubt = rows->Text(0, 2);
  basis.facts.noted = rows->Int(0, 3);
  // A chain without its plan is not the whole chain.
  const bool planned = rows->Int(0, 5) > 0;
  basis.facts.read_whole = basis.state == "succeeded" && rows->Int(0, 4) == 0 && planned;
  return {};
}

}  // namespace

Result<std::optional<SweepBasis>> LoadSweepBasis(pg::Session& session, JobId job,
                                                 const std::string& account) {
  auto rows = session.Exec(kLockSql, {std::to_string(job.value), account});
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::optional<SweepBasis>();
  SweepBasis basis;
  basis.job = job;
  basis.account = account;
  basis.source = rows->Text(0, 0);
  basis.stream = rows->Text(0, 1);
  basis.state = rows->Text(0, 2);
  basis.sweep = rows->Text(0, 3);
  basis.sweep_reason = rows->Text(0, 4);
  basis.began_at = rows->Text(0, 5);
  basis.since_ms = OptionalInt(*rows, 6);
  basis.until_ms = OptionalInt(*rows, 7);
  basis.facts.full = rows->Bool(0, 8);
  basis.facts.doubt = rows->Text(0, 9);
  basis.empty_at_start = rows->Bool(0, 10);
  basis.facts.total_before = OptionalInt(*rows, 11);
  basis.facts.total_after = OptionalInt(*rows, 12);
  if (const Source* source = FindSource(basis.source)) basis.info = FindStream(*source, basis.stream);
  basis.facts.lists_all = basis.info != nullptr && basis.info->sweep.lists_all;
  basis.facts.scope_known = (!basis.since_ms && !basis.until_ms) ||
                            (basis.info != nullptr && !basis.info->table.time_column.empty());
  if (auto added = AddChain(session, basis); !added) return Fail(added.error());
  return std::optional(std::move(basis));
}

Result<bool> NothingToSweep(pg::Session& session, const SweepBasis& basis) {
  if (basis.info == nullptr) return false;
  auto rows =
      session.Exec(fmt::format("select not exists (select from {} where account = $1 and stale_at is null)",
                               TableOf(basis)),
                   {basis.account});
  if (!rows) return Fail(rows.error());
  return rows->Bool(0, 0);
}

Result<SweepGone> CountGone(pg::Session& session, const SweepBasis& basis) {
  // Every row is younger than the plan, which itself began after began_at.
  if (basis.empty_at_start) return SweepGone{0, "0"};
  auto rows = session.Exec(fmt::format("{}select count(*), coalesce(sum(hashtextextended(t.id, 1)), 0)::text "
                                       "from {} where {}{}",
                                       kMetSql, TableOf(basis), ScopeSql(basis), kGoneSql),
                           ParamsOf(basis));
  if (!rows) return Fail(rows.error());
  return SweepGone{rows->Int(0, 0), std::string(rows->Text(0, 1))};
}

Result<SweepCount> CountSweep(pg::Session& session, const SweepBasis& basis) {
  auto gone = CountGone(session, basis);
  if (!gone) return Fail(gone.error());
  auto rows = session.Exec(
      fmt::format("{}select (select count(*) from {} where {}), (select count(distinct hash) from met)",
                  kMetSql, TableOf(basis), ScopeSql(basis)),
      ParamsOf(basis));
  if (!rows) return Fail(rows.error());
  return SweepCount{std::move(*gone), rows->Int(0, 0), rows->Int(0, 1)};
}

Result<std::int64_t> MarkSweep(pg::Session& session, const SweepBasis& basis) {
  auto rows = session.Exec(fmt::format("{}update {} set stale_at = clock_timestamp() where {}{}", kMetSql,
                                       TableOf(basis), ScopeSql(basis), kGoneSql),
                           ParamsOf(basis));
  if (!rows) return Fail(rows.error());
  return rows->Affected();
}

Result<std::vector<SweepSample>> SampleSweep(pg::Session& session, const SweepBasis& basis, int limit) {
  constexpr std::string_view kTime = "at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
  auto rows = session.Exec(
      fmt::format("{}select t.id, to_char(t.first_seen_at {}, to_char(t.updated_at {} from {} where {}{} "
                  "order by t.first_seen_at, t.id limit {}",
                  kMetSql, kTime, kTime, TableOf(basis), ScopeSql(basis), kGoneSql, limit),
      ParamsOf(basis));
  if (!rows) return Fail(rows.error());
  std::vector<SweepSample> sample;
  for (int i = 0; i < rows->Size(); ++i) {
    sample.push_back(
        {std::string(rows->Text(i, 0)), std::string(rows->Text(i, 1)), std::string(rows->Text(i, 2))});
  }
  return sample;
}

}  // namespace weir
