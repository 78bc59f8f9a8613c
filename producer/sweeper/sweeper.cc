#include "producer/sweeper/sweeper.h"

#include <fmt/core.h>

#include <chrono>

#include "common/ledger/seen.h"
#include "common/ledger/transaction.h"
#include "common/obs/log.h"
#include "common/pg/deadline_scope.h"
#include "producer/sweeper/sweep_plan.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kForgetEvery{60'000};
// A table of any size is read through in this time, or its sweep is given up.
constexpr milliseconds kDeadline{600'000};

// The server or the way to it is ill: wait for it. Anything else is the sweep's own trouble, and must not
// hold up the job.
bool IsOutage(const Error& error) {
  if (error.error_class == ErrorClass::kSchema) return false;
  if (error.error_class != ErrorClass::kDatabase || error.sqlstate.empty()) return true;
  for (const char* ill : {"08", "25", "53", "57P", "58"}) {
    if (error.sqlstate.starts_with(ill)) return true;
  }
  return false;
}

// Somebody holds a row that the sweep is to mark, or the table; or they waited for each other in a circle.
bool IsBusy(const Error& error) { return error.sqlstate == "55P03" || error.sqlstate == "40P01"; }

}  // namespace

Result<int> Sweeper::RunOnce() {
  auto due = session_.Exec(
      "select job_id, account, finished_at < clock_timestamp() - interval '1 minute' from weir.job_accounts "
      "where sweep = 'due' order by job_id, position",
      {}, "sweeps_due");
  if (!due) return Fail(due.error());
  int decided = 0;
  for (int i = 0; i < due->Size(); ++i) {
    const JobId job{due->Int(i, 0)};
    const std::string account(due->Text(i, 1));
    const milliseconds begun = clock_.Boot();
    auto turn = Decide(job, account);
    const bool too_long = !turn && clock_.Boot() - begun >= kDeadline;  // its own deadline cut it off
    if (!turn && !too_long && IsOutage(turn.error())) return Fail(turn.error());
    std::string why = turn ? "" : too_long ? "it took too long" : turn.error().message;
    if (turn && *turn == Turn::kBusy) {
      if (!due->Bool(i, 2)) continue;
      why =
          "its rows were locked all the time: another sync of the account was writing, or a user's "
          "transaction is open";
    }
    if (!why.empty()) {
      if (auto given_up = GiveUp(job, account, why); !given_up) return Fail(given_up.error());
    }
    ++decided;
  }
  const auto now = clock_.Boot();
  if (decided == 0 && now < next_forget_) return decided;
  next_forget_ = now + kForgetEvery;
  const pg::DeadlineScope deadline(session_, kDeadline);
  if (auto forgotten = ledger::ForgetSeen(session_); !forgotten) return Fail(forgotten.error());
  return decided;
}

Result<Sweeper::Turn> Sweeper::Decide(JobId job, const std::string& account) {
  const pg::DeadlineScope deadline(session_, kDeadline);
  ledger::Transaction transaction(session_);
  auto begun = transaction.Begin(std::string(kSweepSettings) + "; set local lock_timeout = '500ms'");
  if (!begun) return Fail(begun.error());
  auto locked = session_.Exec(
      "select pg_advisory_xact_lock(weir.sweep_lock_key(source, stream, $2)) from weir.jobs "
      "where id = $1::int8",
      {std::to_string(job.value), account});
  Result<void> settled = locked ? Settle(job, account) : Result<void>(Fail(locked.error()));
  if (!settled && IsBusy(settled.error())) return Turn::kBusy;
  if (!settled) return Fail(settled.error());
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return Turn::kDecided;
}

Result<void> Sweeper::Settle(JobId job, const std::string& account) {
  auto basis = LoadSweepBasis(session_, job, account);
  if (!basis) return Fail(basis.error());
  if (!*basis || (*basis)->sweep != "due") return {};  // another leader was first
  SweepFacts facts = (*basis)->facts;
  SweepCount count;
  bool counted_all = false;
  const SweepLimits limits = limits_((*basis)->source);
  SweepDecision decision = DecideSweep(facts, limits);
  if (decision.kind != SweepDecision::Kind::kRefuse) {
    auto gone = CountGone(session_, **basis);
    if (!gone) return Fail(gone.error());
    // Most sweeps find nothing, and then how many rows there are does not matter. How many records came was
    // counted when the account ended, where its upstream tells how many there are.
    if (gone->to_mark > 0) {
      auto counted = CountSweep(session_, **basis);
      if (!counted) return Fail(counted.error());
      count = *counted;
      counted_all = true;
    }
    facts.live = count.live;
    facts.to_mark = count.gone.to_mark;
    facts.met = count.met;
    decision = DecideSweep(facts, limits);
  }
  std::string state = "marked";
  if (decision.kind == SweepDecision::Kind::kRefuse) {
    auto nothing = NothingToSweep(session_, **basis);
    if (!nothing) return Fail(nothing.error());
    if (*nothing) decision.reason.clear();  // nothing to say to an account without rows
    state = *nothing ? "marked" : "refused";
  }
  std::int64_t marked = 0;
  if (decision.kind != SweepDecision::Kind::kRefuse && count.gone.to_mark > 0) {
    auto sweep = SaveSweep(session_, **basis, count, true);
    if (!sweep) return Fail(sweep.error());
    if (decision.kind == SweepDecision::Kind::kHold) {
      state = "held";
      decision.reason += fmt::format("; do it with: weir sweep apply {}", *sweep);
    } else {
      auto done = CarryOutSweep(session_, **basis, *sweep);
      if (!done) return Fail(done.error());
      marked = *done;
    }
  }
  auto noted = session_.Exec(
      "update weir.job_accounts set sweep = $3, sweep_reason = nullif($4, ''), met = coalesce($5::int8, met) "
      "where job_id = $1::int8 and account = $2",
      {std::to_string(job.value), account, state, decision.reason,
       counted_all ? pg::Param(std::to_string(count.met)) : pg::Param()});
  if (!noted) return Fail(noted.error());
  Log(state == "marked" ? LogLevel::kInfo : LogLevel::kWarn, "sweep",
      {{"job", job.value},
       {"account", account},
       {"state", state},
       {"stale", marked},
       {"reason", decision.reason}});
  return {};
}

Result<void> Sweeper::GiveUp(JobId job, const std::string& account, const std::string& why) {
  auto rows = session_.Exec(
      "update weir.job_accounts set sweep = 'refused', sweep_reason = $3 where job_id = $1::int8 and account "
      "= "
      "$2 and sweep = 'due'",
      {std::to_string(job.value), account, why});
  if (!rows) return Fail(rows.error());
  Log(LogLevel::kWarn, "sweep given up", {{"job", job.value}, {"account", account}, {"reason", why}});
  return {};
}

}  // namespace weir
