#include "producer/sweeper/sweep_plan.h"

#include <fmt/core.h>

#include "common/ledger/seen.h"
#include "common/ledger/transaction.h"

namespace weir {
namespace {

constexpr int kSample = 10;
constexpr char kRfc3339[] = "at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";

std::string Number(std::int64_t value) { return std::to_string(value); }

std::string Name(const SweepBasis& basis) { return fmt::format("job {}", basis.job.value); }

Result<JobId> FindJob(pg::Session& session, const SweepRequest& request) {
  const pg::Param job = request.job ? pg::Param(Number(request.job->value)) : pg::Param();
  auto rows = session.Exec(
      "select a.job_id from weir.job_accounts a join weir.jobs j on j.id = a.job_id "
      "where j.source = $1 and j.stream = $2 and a.account = $3 and a.mode = 'full' and j.record_limit is "
      "null "
      "and ($4::int8 is null or j.id = $4::int8) order by a.job_id desc limit 1",
      {request.source, request.stream, request.account, job});
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) {
    return Fail(ErrorClass::kNotFound,
                fmt::format("there is no full sync of {}/{} for {} to rest a sweep on", request.source,
                            request.stream, request.account),
                fmt::format("weir sync {}/{} --account {} --mode full", request.source, request.stream,
                            request.account));
  }
  return JobId{rows->Int(0, 0)};
}

// Why no plan can rest on it; nothing if one can. "marked" can: it has nothing left to mark.
Result<void> CheckBasis(const SweepBasis& basis) {
  const auto no = [&](const std::string& why, const std::string& hint) {
    return Fail(ErrorClass::kConflict, fmt::format("{} is nothing to rest a sweep on: {}", Name(basis), why),
                hint);
  };
  const std::string again =
      fmt::format("weir sync {}/{} --account {} --mode full", basis.source, basis.stream, basis.account);
  if (basis.sweep == "due" || basis.state == "queued" || basis.state == "running" || basis.state == "paused")
    return no("it has not ended", fmt::format("wait for it: weir status {} --watch", basis.job.value));
  if (basis.sweep == "refused" || basis.sweep == "spent") return no(basis.sweep_reason, again);
  const SweepDecision decision = DecideSweep(basis.facts, SweepLimits{100, 0});
  if (basis.sweep != "marked" && decision.kind == SweepDecision::Kind::kRefuse)
    return no(decision.reason, again);
  if (basis.sweep.empty()) return no("what it met was not kept", again);
  return {};
}

Result<std::optional<SweepPlan>> LoadPlan(pg::Session& session, std::int64_t id) {
  auto rows = session.Exec(
      fmt::format(
          "select job_id, source, stream, account, to_char(began_at {0}, to_char(created_at {0}, "
          "coalesce(to_char(applied_at {0}, ''), live, to_mark, met, marked from weir.sweeps where id = "
          "$1::int8 for update",
          kRfc3339),
      {Number(id)});
  if (!rows) return Fail(rows.error());
  if (rows->Empty()) return std::optional<SweepPlan>();
  SweepPlan plan;
  plan.id = id;
  plan.job = JobId{rows->Int(0, 0)};
  plan.source = rows->Text(0, 1);
  plan.stream = rows->Text(0, 2);
  plan.account = rows->Text(0, 3);
  plan.began_at = rows->Text(0, 4);
  plan.created_at = rows->Text(0, 5);
  plan.applied_at = rows->Text(0, 6);
  plan.live = rows->Int(0, 7);
  plan.to_mark = rows->Int(0, 8);
  plan.met = rows->Int(0, 9);
  plan.marked = rows->Int(0, 10);
  return std::optional(std::move(plan));
}

void SetLimits(SweepPlan& plan, const SweepLimits& limits) {
  plan.limits = limits;
  plan.within = limits.Allow(plan.to_mark, plan.live);
}

// A sync that worked on the account since the plan was made, other than those it rests on.
constexpr std::string_view kNewerSql = R"sql(
  select j.id from weir.sweeps s join weir.job_accounts a on a.account = s.account and a.job_id <> s.job_id
    join weir.jobs j on j.id = a.job_id and (j.source, j.stream) = (s.source, s.stream)
   where s.id = $1::int8
     and (exists (select from weir.tasks t where t.job_id = j.id and t.account = s.account and t.advanced_at > s.created_at)
          or exists (select from weir.gone_tasks t where t.job_id = j.id and t.account = s.account
                        and t.advanced_at > s.created_at))
   order by j.id desc limit 1)sql";

Result<void> CheckFresh(pg::Session& session, const SweepPlan& plan, const SweepBasis& basis) {
  const auto stale = [&](const std::string& why) {
    return Fail(ErrorClass::kConflict, fmt::format("plan {} is stale: {}", plan.id, why),
                fmt::format("make a new one: weir sweep plan {}/{} --account {}", plan.source, plan.stream,
                            plan.account));
  };
  if (basis.sweep == "marked") return stale(fmt::format("the sweep of {} has been done", Name(basis)));
  if (basis.sweep != "held")
    return stale(basis.sweep_reason.empty() ? fmt::format("{} goes on", Name(basis)) : basis.sweep_reason);
  if (const auto decision = DecideSweep(basis.facts, SweepLimits{100, 0});
      decision.kind == SweepDecision::Kind::kRefuse)
    return stale(decision.reason);
  auto newer = session.Exec(kNewerSql, {Number(plan.id)});
  if (!newer) return Fail(newer.error());
  if (!newer->Empty()) return stale(fmt::format("job {} has read the account since", newer->Int(0, 0)));
  auto gone = CountGone(session, basis);
  if (!gone) return Fail(gone.error());
  auto same = session.Exec("select to_mark = $2::int8 and digest = $3 from weir.sweeps where id = $1::int8",
                           {Number(plan.id), Number(gone->to_mark), gone->digest});
  if (!same) return Fail(same.error());
  if (!same->Bool(0, 0)) return stale("rows have changed since");
  return {};
}

Result<void> Lock(pg::Session& session, const std::string& source, const std::string& stream,
                  const std::string& account) {
  auto locked = session.Exec("select pg_advisory_xact_lock(weir.sweep_lock_key($1, $2, $3))",
                             {source, stream, account});
  if (locked) return {};
  if (locked.error().sqlstate != "55P03") return Fail(locked.error());
  return Fail(ErrorClass::kConflict, fmt::format("a sync of {} is writing now", account),
              "try again when it has ended");
}

}  // namespace

Result<std::int64_t> SaveSweep(pg::Session& session, const SweepBasis& basis, const SweepCount& count,
                               bool automatic) {
  auto rows = session.Exec(
      "insert into weir.sweeps (source, stream, account, job_id, automatic, began_at, live, to_mark, digest, "
      "met) "
      "values ($1, $2, $3, $4::int8, $5::bool, $6::timestamptz, $7::int8, $8::int8, $9, $10::int8) returning "
      "id",
      {basis.source, basis.stream, basis.account, Number(basis.job.value), automatic ? "true" : "false",
       basis.began_at, Number(count.live), Number(count.gone.to_mark), count.gone.digest, Number(count.met)});
  if (!rows) return Fail(rows.error());
  return rows->Int(0, 0);
}

Result<std::int64_t> CarryOutSweep(pg::Session& session, const SweepBasis& basis, std::int64_t sweep) {
  auto marked = MarkSweep(session, basis);
  if (!marked) return Fail(marked.error());
  auto noted = session.Exec(
      "with done as (update weir.sweeps set applied_at = clock_timestamp(), marked = $2::int8 where id = "
      "$1::int8 "
      "returning job_id, account) "
      "update weir.job_accounts a set sweep = 'marked', sweep_reason = null, stale = a.stale + $2::int8 from "
      "done d "
      "where a.job_id = d.job_id and a.account = d.account",
      {Number(sweep), Number(*marked)});
  if (!noted) return Fail(noted.error());
  return *marked;
}

Result<SweepPlan> PlanSweep(pg::Session& session, const SweepRequest& request, const SweepLimits& limits) {
  ledger::Transaction transaction(session);
  if (auto begun = transaction.Begin(kSweepSettings); !begun) return Fail(begun.error());
  auto job = FindJob(session, request);
  if (!job) return Fail(job.error());
  auto basis = LoadSweepBasis(session, *job, request.account);
  if (!basis) return Fail(basis.error());
  if (auto good = CheckBasis(**basis); !good) return Fail(good.error());
  SweepCount count;
  std::vector<SweepSample> sample;
  // A sweep that was done has forgotten what it rested on.
  if ((*basis)->sweep == "held") {
    auto counted = CountSweep(session, **basis);
    if (!counted) return Fail(counted.error());
    auto some = SampleSweep(session, **basis, kSample);
    if (!some) return Fail(some.error());
    count = *counted;
    sample = std::move(*some);
  }
  auto id = SaveSweep(session, **basis, count, false);
  if (!id) return Fail(id.error());
  auto plan = LoadPlan(session, *id);
  if (!plan) return Fail(plan.error());
  SetLimits(**plan, limits);
  (*plan)->sample = std::move(sample);
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return std::move(**plan);
}

Result<SweepPlan> ApplySweep(pg::Session& session, std::int64_t id,
                             const std::function<SweepLimits(std::string_view source)>& limits) {
  ledger::Transaction transaction(session);
  auto begun = transaction.Begin(std::string(kSweepSettings) + "; set local lock_timeout = '5s'");
  if (!begun) return Fail(begun.error());
  auto plan = LoadPlan(session, id);
  if (!plan) return Fail(plan.error());
  if (!*plan) {
    return Fail(ErrorClass::kNotFound, fmt::format("there is no plan {}", id),
                "make one: weir sweep plan SOURCE/STREAM --account NAME");
  }
  if (!(*plan)->applied_at.empty())
    return Fail(ErrorClass::kConflict, fmt::format("plan {} was applied at {}", id, (*plan)->applied_at));
  if (auto locked = Lock(session, (*plan)->source, (*plan)->stream, (*plan)->account); !locked)
    return Fail(locked.error());
  auto basis = LoadSweepBasis(session, (*plan)->job, (*plan)->account);
  if (!basis) return Fail(basis.error());
  if (!*basis) return Fail(ErrorClass::kNotFound, fmt::format("the job of plan {} is gone", id));
  if (auto fresh = CheckFresh(session, **plan, **basis); !fresh) return Fail(fresh.error());
  if (auto marked = CarryOutSweep(session, **basis, id); !marked) return Fail(marked.error());
  auto applied = LoadPlan(session, id);
  if (!applied) return Fail(applied.error());
  SetLimits(**applied, limits((*applied)->source));
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return std::move(**applied);
}

}  // namespace weir
