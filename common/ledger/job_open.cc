#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <unordered_set>

#include "common/ledger/job_lock.h"
#include "common/ledger/jobs.h"
#include "common/ledger/transaction.h"
#include "common/pg/deadline_scope.h"

namespace weir::ledger {
namespace {

constexpr std::chrono::minutes kOpenDeadline{10};
constexpr char kDeadlock[] = "40P01";

pg::Param OptionalNumber(const std::optional<std::int64_t>& value) {
  return value ? pg::Param(std::to_string(*value)) : pg::Param();
}

// What makes two requests the same sync (DESIGN §1, job). The accounts go in as a digest: their list may be
// longer than an index entry.
struct Fingerprint {
  std::string prefix, accounts;
};

Fingerprint FingerprintOf(const JobRequest& request) {
  std::vector<std::string> keys;
  for (const auto& account : request.accounts)
    keys.push_back(fmt::format("{}:{}", account.key.size(), account.key));
  std::sort(keys.begin(), keys.end());
  const auto bound = [](const std::optional<std::int64_t>& value) {
    return value ? std::to_string(*value) : "-";
  };
  return {fmt::format("{}/{}|{}|{}|{}|{}|", request.source, request.stream,
                      request.mode ? ToString(*request.mode) : "auto", bound(request.filter.since_ms),
                      bound(request.filter.until_ms), bound(request.filter.limit)),
          fmt::format("{}", fmt::join(keys, ","))};
}

// The accounts as arrays for unnest, each key once, in the order the user listed them.
struct AccountArrays {
  std::string keys, names, meters, lanes;
};

AccountArrays ArraysOf(const std::vector<JobRequest::Account>& accounts) {
  std::vector<std::string> keys, names, meters;
  std::vector<std::int64_t> lanes;
  std::unordered_set<std::string_view> known;
  for (const auto& account : accounts) {
    if (!known.insert(account.key).second) continue;
    keys.push_back(account.key);
    names.push_back(account.name);
    meters.push_back(account.meter);
    lanes.push_back(std::max(account.lanes, 1));
  }
  return {pg::ArrayLiteral(keys), pg::ArrayLiteral(names), pg::ArrayLiteral(meters), pg::ArrayLiteral(lanes)};
}

// The unfinished job of this fingerprint. Its deadline becomes the later one of both requests, none being the
// latest: a request must not end earlier what another one waits for. Once someone waits for it, it is
// interactive.
constexpr std::string_view kFindOpenSql = R"sql(
  update weir.jobs
     set deadline_at = case when $3::int8 is null or deadline_at is null then null
                            else greatest(deadline_at, now() + $3::int8 * interval '1 ms') end,
         priority = case when $4 = 'interactive' then $4 else priority end
   where fingerprint = $1 || encode(sha256(convert_to($2, 'UTF8')), 'hex') and state in ('queued', 'running', 'paused')
     and closing is null
  returning id)sql";

// One of the same sync that is about to end.
constexpr std::string_view kFindClosingSql = R"sql(
  select id from weir.jobs
   where fingerprint = $1 || encode(sha256(convert_to($2, 'UTF8')), 'hex') and state in ('queued', 'running', 'paused')
     and closing is not null)sql";

// Sorted by key, so that two requests with common accounts do not deadlock.
constexpr std::string_view kAccountsSql = R"sql(
  insert into weir.accounts (source, key, name, canonical)
  select $1, key, name, name from unnest($2::text[], $3::text[]) t (key, name) order by key
  on conflict do nothing)sql";

// Lanes that nobody uses are deleted after a while (PruneLanes), but none that is held by this.
constexpr std::string_view kHoldLanesSql = R"sql(
  select from weir.lanes l join unnest($1::text[], $2::int[]) u (meter, lanes) on l.meter = u.meter and l.lane < u.lanes
   order by l.meter, l.lane for key share of l)sql";

constexpr std::string_view kLanesSql = R"sql(
  insert into weir.lanes (meter, lane)
  select meter, generate_series(0, max(lanes) - 1) from unnest($1::text[], $2::int[]) t (meter, lanes)
  group by meter order by 1, 2
  on conflict do nothing)sql";

// `continues`: the newest job of the fingerprint, if that one expired and what it left is still there. The
// foreign key holds its row, so that nothing of it is deleted (retention.cc) until this transaction ends.
constexpr std::string_view kJobSql = R"sql(
  insert into weir.jobs (fingerprint, source, stream, mode, priority, since_ms, until_ms, record_limit, now_ms,
                         traceparent, deadline_at, continues)
  select f.fingerprint, $3, $4, $5, $6, $7::int8, $8::int8, $9::int8,
         coalesce($10::int8, (extract(epoch from clock_timestamp()) * 1000)::int8),
         '00-' || replace(gen_random_uuid()::text, '-', '') || '-' ||
           left(replace(gen_random_uuid()::text, '-', ''), 16) || '-01',
         now() + $11::int8 * interval '1 ms',
         (select case when p.state = 'expired' and p.failures_pruned is null then p.id end from weir.jobs p where p.fingerprint = f.fingerprint
           order by p.id desc limit 1)
    from (select $1 || encode(sha256(convert_to($2, 'UTF8')), 'hex') as fingerprint) f
  on conflict (fingerprint) where state in ('queued', 'running', 'paused') do nothing
  returning id, coalesce(continues, 0))sql";

// $7 = ModeForAll; without one, full until the account's first full sync is whole. The job counts as
// full when one account is.
constexpr std::string_view kJobAccountsSql = R"sql(
  with input as (
    select a.name, t.meter, t.lanes, t.position,
           coalesce($7, case when f.account is null then 'full' else 'incremental' end) as mode
      from unnest($4::text[], $5::text[], $6::int[]) with ordinality t (key, meter, lanes, position)
      join weir.accounts a on a.source = $2 and a.key = t.key
      left join weir.full_syncs f on f.source = $2 and f.stream = $3 and f.account = a.name),
  added as (
    insert into weir.job_accounts (job_id, account, position, mode, meter, lanes)
    select $1::int8, name, position, mode, meter, lanes from input returning mode)
  update weir.jobs set mode = case when exists (select from added where mode = 'full') then 'full' else 'incremental' end
   where id = $1::int8)sql";

// What an expired job left behind goes on in this one, from where it stood: the unfinished and dead tasks, of
// the plan too, of accounts whose plan was begun and whose mode is the same, their counters from 0. A page
// that was invalid and had rejected records is read whole again (replay.cc). A plan's
// first question is asked anew if it had no answer; one that has had its answer has left tasks. An account of
// which unfinished tasks are gone (retention.cc) is begun anew: what is left of them would pass for all.
constexpr std::string_view kContinueSql = R"sql(
  with carried as (
    update weir.job_accounts a
       set planned = p.planned, empty_at_start = p.empty_at_start, began_ms = coalesce(p.began_ms, o.now_ms), began_at = p.began_at,
           total_before = p.total_before, total_after = p.total_after, estimate = p.estimate,
           carried = p.carried + l.fetched, doubt = coalesce(p.doubt, l.doubt),
           incomplete_reason = coalesce(p.incomplete_reason, l.incomplete)
      from weir.job_accounts p join weir.jobs o on o.id = p.job_id
      cross join lateral (
        select coalesce(sum(fetched), 0) as fetched, min(doubt) as doubt, min(incomplete) as incomplete from (
          select fetched, doubt, incomplete from weir.tasks t where t.job_id = p.job_id and t.account = p.account
          union all
          select fetched, doubt, incomplete from weir.gone_tasks t where t.job_id = p.job_id and t.account = p.account) k) l
     where a.job_id = $1::int8 and p.job_id = $2::int8 and p.account = a.account and p.mode = a.mode
       and not exists (select from weir.tasks t where t.job_id = p.job_id and t.account = p.account
                          and t.kind = 0 and t.key = '' and t.state <> 'done')
       and o.failures_pruned is null
       and not exists (select from weir.gone_tasks t where t.job_id = p.job_id and t.account = p.account
                          and t.state in ('expired', 'dead'))
       and not (p.state = 'partial' and p.incomplete_reason is not null)  -- its plan has nothing left: it is made again
       and (p.mode = 'full' or exists (select from weir.tasks t where t.job_id = p.job_id and t.account = p.account
                                          and t.state in ('expired', 'dead')))
    returning a.account, a.meter, a.lanes)
  insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi, key, budget, page, position, digest)
  select $1::int8, t.account, c.meter, t.lane % c.lanes, t.kind, t.lo, t.hi, t.key,
         case when t.budget is not null then greatest(t.budget - t.inserted, 0) end, t.page,
         case when d.rejects then 0 else t.position end, case when d.rejects then 0 else t.digest end
    from weir.tasks t join carried c on c.account = t.account
    cross join lateral (select t.state = 'dead' and t.error_class = 'invalid' and exists (
      select from weir.rejects r where r.task_id = t.id and r.page = t.page) as rejects) d
   where t.job_id = $2::int8 and t.state in ('expired', 'dead')
   order by t.id)sql";

constexpr std::string_view kDiscoverSql = R"sql(
  insert into weir.tasks (job_id, account, meter, lane, kind)
  select a.job_id, a.account, a.meter, (hashtext(a.account) & 2147483647) % a.lanes, 0
    from weir.job_accounts a
   where a.job_id = $1::int8 and not a.planned
     and not exists (select from weir.tasks t where t.job_id = a.job_id and t.account = a.account)
   order by a.position)sql";

// Everything that hangs on the new job's row.
Result<void> FillJob(pg::Session& session, const JobRequest& request, const AccountArrays& accounts,
                     const std::string& id, const std::string& continues) {
  const pg::Param mode = request.mode ? pg::Param(std::string(ToString(*request.mode))) : pg::Param();
  auto done = session.Exec(kJobAccountsSql, {id, request.source, request.stream, accounts.keys,
                                             accounts.meters, accounts.lanes, mode});
  if (done && continues != "0") done = session.Exec(kContinueSql, {id, continues});
  if (done) done = session.Exec(kDiscoverSql, {id});
  if (done) done = session.Exec("select pg_notify('weir_dispatch', ''), pg_notify('weir_jobs', $1)", {id});
  if (!done) return Fail(done.error());
  return {};
}

// Nothing when another request opened the same job in between.
Result<std::optional<OpenedJob>> TryOpen(pg::Session& session, const JobRequest& request) {
  const Fingerprint print = FingerprintOf(request);
  const pg::Param deadline =
      request.deadline ? pg::Param(std::to_string(request.deadline->count())) : pg::Param();
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local synchronous_commit = on"); !begun) return Fail(begun.error());
  auto found = session.Exec(kFindOpenSql, {print.prefix, print.accounts, deadline, request.priority});
  if (!found) return Fail(found.error());
  if (!found->Empty()) {
    const OpenedJob job{JobId{found->Int(0, 0)}, true};
    auto notified = session.Exec("select pg_notify('weir_dispatch', '')");
    if (!notified) return Fail(notified.error());
    if (auto done = transaction.Commit(); !done) return Fail(done.error());
    return job;
  }
  const AccountArrays accounts = ArraysOf(request.accounts);
  auto rows = session.Exec(kAccountsSql, {request.source, accounts.keys, accounts.names});
  if (rows) rows = session.Exec(kHoldLanesSql, {accounts.meters, accounts.lanes});
  if (rows) rows = session.Exec(kLanesSql, {accounts.meters, accounts.lanes});
  if (rows) {
    rows = session.Exec(
        kJobSql, {print.prefix, print.accounts, request.source, request.stream, "full", request.priority,
                  OptionalNumber(request.filter.since_ms), OptionalNumber(request.filter.until_ms),
                  OptionalNumber(request.filter.limit), OptionalNumber(request.now_ms), deadline});
  }
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::nullopt;
  const OpenedJob job{JobId{rows->Int(0, 0)}, false};
  auto filled =
      FillJob(session, request, accounts, std::to_string(job.id.value), std::string(rows->Text(0, 1)));
  if (!filled) return Fail(filled.error());
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return job;
}

// Its job takes the unfinished tasks over, so it waits for the end.
Result<void> EndTheClosing(pg::Session& session, const JobRequest& request) {
  const Fingerprint print = FingerprintOf(request);
  auto closing = session.Exec(kFindClosingSql, {print.prefix, print.accounts});
  if (!closing) return Fail(closing.error());
  if (closing->Empty()) return {};
  return FinishClosing(session, JobId{closing->Int(0, 0)});
}

}  // namespace

std::optional<JobMode> ModeForAll(const std::optional<JobMode>& asked, const Filter& filter) {
  if (!asked && filter.limit) return JobMode::kFull;
  return asked;
}

Result<OpenedJob> OpenJob(pg::Session& session, const JobRequest& asked) {
  if (asked.accounts.empty()) return Fail(ErrorClass::kConfig, "a sync needs at least one account");
  JobRequest request = asked;
  request.mode = ModeForAll(asked.mode, asked.filter);
  // A job that goes on with millions of tasks of an expired one copies them.
  const pg::DeadlineScope deadline(session, kOpenDeadline);
  for (int attempt = 0; attempt < 5; ++attempt) {
    auto opened = TryOpen(session, request);
    if (opened && *opened) return **opened;
    if (!opened && opened.error().sqlstate != kDeadlock) return Fail(opened.error());
    if (auto ended = EndTheClosing(session, request); !ended) return Fail(ended.error());
  }
  return Fail(ErrorClass::kConflict, "the same sync is being opened and ended by others again and again",
              "try again in a moment");
}

}  // namespace weir::ledger
