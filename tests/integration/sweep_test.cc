// Sweeps on a real PostgreSQL (DESIGN §8): what a full job leads to, what forbids it, and what is spared.
#include <gtest/gtest.h>

#include "common/ledger/failures.h"
#include "common/ledger/retention.h"
#include "producer/sweeper/sweep_plan.h"
#include "tests/integration/worker_fixture.h"

namespace weir::testing {
namespace {

class SweepTest : public WorkerFixture {
 protected:
  ledger::JobRequest Full(const std::string& source, const std::string& player) const {
    auto request = Request(source, {player});
    request.mode = JobMode::kFull;
    return request;
  }
  void Delete(sim::Api api, const std::string& player, sim::Stride which) {
    upstream_.world().players.Alter(api, player, [&](sim::Player& p) { p.deleted.push_back(which); });
  }
  void Undelete(sim::Api api, const std::string& player) {
    upstream_.world().players.Alter(api, player, [&](sim::Player& p) { p.deleted.clear(); });
  }
  std::string Stale(const std::string& table = "lichess.games") {
    return Text("select count(*) from " + table + " where stale_at is not null");
  }
  std::string Sweep(const ledger::JobStatus& job) { return job.accounts.at(0).sweep; }
  Result<SweepPlan> Plan(const std::string& player = "alice") {
    return PlanSweep(session_, {"lichess", "games", player, std::nullopt}, sweep_limits_);
  }
  // As the leader does a week later.
  void DeleteTasks(JobId job) {
    ledger::PruneCursor cursor;
    ledger::Pruned pruned;
    while (!pruned.done) {
      auto batch =
          ledger::PruneJob(session_, job, ledger::Part::kTasks, std::chrono::milliseconds(0), cursor, 100);
      ASSERT_TRUE(batch && !batch->busy);
      pruned = *batch;
    }
    ASSERT_EQ(Text("select count(*) from weir.tasks where job_id = " + std::to_string(job.value)), "0");
  }
  Result<SweepPlan> Apply(std::int64_t id) {
    return ApplySweep(session_, id, [this](std::string_view) { return sweep_limits_; });
  }
};

// Invariant 7.
TEST_F(SweepTest, ASweepMarksOnlyWhatACompleteEnumerationDidNotSee) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=700"));
  ASSERT_TRUE(upstream_.AddPlayer("lichess/bob=90"));
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=400"));
  EXPECT_EQ(Sync(Full("lichess", "alice")).totals.stale, 0);
  EXPECT_EQ(Sync(Full("lichess", "bob")).totals.stale, 0);
  EXPECT_EQ(Sync(Full("chesscom", "hikaru")).totals.stale, 0);
  Delete(sim::Api::kLichess, "alice", {20, 0, 700});
  Delete(sim::Api::kLichess, "bob", {1, 0, 5});
  Delete(sim::Api::kChessCom, "hikaru", {25, 0, 400});
  const auto versions =
      Text("select sum(xmin::text::int8) from lichess.games where stale_at is null and account = 'bob'");
  const auto alice = Sync(Full("lichess", "alice"));
  EXPECT_EQ(alice.state, "succeeded");
  EXPECT_EQ(alice.totals.stale, 35);
  EXPECT_EQ(alice.totals.unchanged, 665);
  EXPECT_EQ(Sweep(alice), "marked");
  EXPECT_EQ(Text("select count(*) from lichess.games where account = 'bob' and stale_at is not null"), "0");
  const auto hikaru = Sync(Full("chesscom", "hikaru"));
  EXPECT_EQ(hikaru.totals.stale, 16);
  ExpectEqualsUpstream("lichess", "alice");
  ExpectEqualsUpstream("chesscom", "hikaru");
  EXPECT_EQ(Text("select count(*) from weir.seen"), "0") << "nothing is kept that no sweep needs";
  EXPECT_EQ(
      Text("select sum(xmin::text::int8) from lichess.games where stale_at is null and account = 'bob'"),
      versions);
}

TEST_F(SweepTest, ARecordThatComesBackIsUnstaled) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {50, 0, 300});
  EXPECT_EQ(Sync(Full("lichess", "alice")).totals.stale, 6);
  Undelete(sim::Api::kLichess, "alice");
  const auto back = Sync(Full("lichess", "alice"));
  EXPECT_EQ(back.totals.updated, 6) << "their contents are the same, yet they are not unchanged";
  EXPECT_EQ(back.totals.unchanged, 294);
  EXPECT_EQ(back.totals.stale, 0);
  EXPECT_EQ(Stale(), "0");
  ExpectEqualsUpstream("lichess", "alice");
}

TEST_F(SweepTest, TooManyAreHeldThenPlannedAndApplied) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {2, 0, 300});
  const auto held = Sync(Full("lichess", "alice"));
  EXPECT_EQ(held.state, "succeeded");
  EXPECT_EQ(held.totals.stale, 0);
  EXPECT_EQ(Sweep(held), "held") << held.accounts[0].sweep_reason;
  EXPECT_EQ(Stale(), "0");

  const auto plan = Plan();
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->to_mark, 150);
  EXPECT_EQ(plan->live, 300);
  EXPECT_EQ(plan->met, 150);
  EXPECT_EQ(plan->job.value, held.id.value);
  EXPECT_FALSE(plan->within);
  EXPECT_EQ(plan->sample.size(), 10u);
  EXPECT_EQ(Stale(), "0");
  const auto applied = Apply(plan->id);
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(applied->marked, 150);
  ExpectEqualsUpstream("lichess", "alice");
  EXPECT_EQ(ledger::GetJob(session_, held.id)->totals.stale, 150);

  EXPECT_EQ(Apply(plan->id).error().error_class, ErrorClass::kConflict) << "once";
  const auto nothing = Plan();
  ASSERT_TRUE(nothing) << nothing.error().message;
  EXPECT_EQ(nothing->to_mark, 0);
}

TEST_F(SweepTest, AHeldSweepCanBeAppliedAfterTheTasksItRestsOnAreDeleted) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {2, 0, 300});
  const auto held = Sync(Full("lichess", "alice"));
  ASSERT_EQ(Sweep(held), "held") << held.accounts[0].sweep_reason;
  DeleteTasks(held.id);
  const auto plan = Plan();
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->to_mark, 150);
  EXPECT_EQ(plan->met, 150);
  const auto applied = Apply(plan->id);
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(applied->marked, 150);
}

TEST_F(SweepTest, ANewerSyncMakesAPlanStaleAlsoAfterItsTasksAreDeleted) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {2, 0, 300});
  ASSERT_EQ(Sweep(Sync(Full("lichess", "alice"))), "held");
  const auto plan = Plan();
  ASSERT_TRUE(plan) << plan.error().message;
  auto request = Request("lichess", {"alice"});
  request.mode = JobMode::kIncremental;
  DeleteTasks(Sync(request).id);
  const auto applied = Apply(plan->id);
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().message.find("has read the account since"), std::string::npos)
      << applied.error().message;
}

// They were not final when last read: incremental syncs ask for them one by one.
TEST_F(SweepTest, RowsThatAreWatchedAreNotMarked) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {2, 0, 300});
  ASSERT_EQ(Sweep(Sync(Full("lichess", "alice"))), "held");
  ASSERT_EQ(Plan()->to_mark, 150);
  ASSERT_TRUE(
      session_.Script("insert into weir.watched (source, stream, account, id) select 'lichess', 'games', "
                      "account, id from lichess.games"));
  EXPECT_EQ(Plan()->to_mark, 0);
}

TEST_F(SweepTest, AStalePlanIsRefused) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {2, 0, 300});
  Sync(Full("lichess", "alice"));
  // A row that is touched after the plan.
  auto plan = Plan();
  ASSERT_TRUE(plan);
  Text("update lichess.games set updated_at = now() where id = '" + plan->sample[0].id + "'");
  auto refused = Apply(plan->id);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(Stale(), "0");
  // A newer sync, even one that changed nothing.
  plan = Plan();
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->to_mark, 149);
  auto incremental = Request("lichess", {"alice"});
  incremental.mode = JobMode::kIncremental;
  Sync(incremental);
  refused = Apply(plan->id);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(Stale(), "0");
  plan = Plan();
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(Apply(plan->id));
  EXPECT_EQ(Stale(), "149");
}

TEST_F(SweepTest, NoSweepAfterADeadPageUntilItIsReplayed) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=1500"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {100, 0, 1500});
  ASSERT_TRUE(upstream_.SetFaults(
      R"({"rules":[{"match":"/api/games/user","action":"status","status":400,"times":1}]})"));
  const auto partial = Sync(Full("lichess", "alice"));
  EXPECT_EQ(partial.state, "partial");
  EXPECT_EQ(Sweep(partial), "");
  EXPECT_EQ(Stale(), "0");
  EXPECT_FALSE(Plan());
  ledger::FailureFilter dead;
  dead.job = partial.id;
  ASSERT_TRUE(ledger::Replay(session_, dead, {}));
  Worker worker(this, "worker-b");
  const auto whole = Finish(worker, partial.id);
  EXPECT_EQ(whole.state, "succeeded");
  EXPECT_EQ(whole.totals.stale, 15);
  ExpectEqualsUpstream("lichess", "alice");
}

TEST_F(SweepTest, NoSweepOnAnEmptyResult) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=9"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {});
  const auto empty = Sync(Full("lichess", "alice"));
  EXPECT_EQ(empty.state, "succeeded");
  EXPECT_EQ(Sweep(empty), "refused");
  EXPECT_EQ(Stale(), "0") << "9 rows would be within sweep.max_stale_rows";
  EXPECT_FALSE(Plan());
}

// It may be a stored one whose id cannot be read now.
TEST_F(SweepTest, NoSweepWhenARecordHadNoId) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=200"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {100, 0, 200});
  ASSERT_TRUE(upstream_.SetFaults(
      R"({"rules":[{"match":"/api/games/user","action":"poison","records":["no_id"],"times":1}]})"));
  const auto doubtful = Sync(Full("lichess", "alice"));
  EXPECT_EQ(doubtful.state, "succeeded");
  EXPECT_EQ(Sweep(doubtful), "refused") << doubtful.accounts[0].sweep_reason;
  EXPECT_EQ(Stale(), "0");
  EXPECT_EQ(Sync(Full("lichess", "alice")).totals.stale, 2);
}

TEST_F(SweepTest, OnlyWhatTheJobAskedForIsSwept) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=400"));  // 2019 to 2026
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {50, 0, 400});
  auto bounded = Full("lichess", "alice");
  bounded.filter.since_ms = 1'640'995'200'000;  // 2022-01-01
  bounded.filter.until_ms = 1'704'067'200'000;  // 2024-01-01
  const auto part = Sync(bounded);
  EXPECT_EQ(Text("select count(*) from lichess.games where stale_at is not null and created_at not between "
                 "'2022-01-01' and '2024-01-01'"),
            "0");
  EXPECT_GT(part.totals.stale, 0);
  EXPECT_LT(part.totals.stale, 8);
  auto limited = Full("lichess", "alice");
  limited.filter.limit = 10;
  EXPECT_EQ(Sweep(Sync(limited)), "");
  EXPECT_EQ(Sync(Full("lichess", "alice")).totals.stale, 8 - part.totals.stale);
  ExpectEqualsUpstream("lichess", "alice");
}

// A job that its deadline ended goes on as another one: together they have read everything.
TEST_F(SweepTest, AnExpiredJobsPagesCount) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=5000"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {500, 0, 5000});
  Worker worker(this, "worker-a");
  const JobId first = Open(Full("lichess", "alice"));
  while (
      Text(
          "select count(*) filter (where state = 'done' and kind <> 0) >= 2 from weir.tasks where job_id = " +
          std::to_string(first.value)) != "t") {
    Text("update weir.lanes set not_before = null");
    for (const auto& task : Ready()) worker.Deliver(task);
    ASSERT_GT(worker.scheduler.Queued(), 0u);
    worker.RunOnce();
  }
  Text("update weir.jobs set deadline_at = now() where id = " + std::to_string(first.value));
  EndJobs();
  EXPECT_EQ(ledger::GetJob(session_, first)->state, "expired");
  while (worker.scheduler.Queued() > 0) worker.RunOnce();
  EXPECT_EQ(Stale(), "0");
  const JobId second = Open(Full("lichess", "alice"));
  const auto rest = Finish(worker, second);
  EXPECT_EQ(rest.state, "succeeded");
  EXPECT_LT(rest.totals.fetched, 4990);
  EXPECT_EQ(rest.totals.stale, 10);
  ExpectEqualsUpstream("lichess", "alice");
}

TEST_F(SweepTest, ACancelledJobSweepsNothing) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  Sync(Full("lichess", "alice"));
  Delete(sim::Api::kLichess, "alice", {50, 0, 300});
  Worker worker(this, "worker-a");
  const JobId job = Open(Full("lichess", "alice"));
  for (const auto& task : Ready()) worker.Deliver(task);
  while (worker.scheduler.Queued() > 0) worker.RunOnce();  // the plan
  ASSERT_TRUE(ledger::CancelJob(session_, job));
  EndJobs();
  EXPECT_EQ(Stale(), "0");
  EXPECT_FALSE(Plan());
  EXPECT_EQ(Text("select count(*) from weir.seen"), "0");
}

// Two jobs with the same table, the second sees a record only after the first passed its place.
TEST_F(SweepTest, WhatAnotherJobMetMeanwhileIsSpared) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=200"));
  Sync(Full("chesscom", "hikaru"));
  Delete(sim::Api::kChessCom, "hikaru", {50, 0, 200});
  Worker worker(this, "worker-a");
  const JobId first = Open(Full("chesscom", "hikaru"));
  // Its last task is left while another job reads the same.
  const auto left = [&] {
    return Text(
               "select count(*) filter (where state in ('planned', 'dispatched')) = 1 and count(*) > 2 from "
               "weir.tasks where job_id = " +
               std::to_string(first.value)) == "t";
  };
  while (!left()) {
    Text("update weir.lanes set not_before = null");
    for (const auto& task : Ready()) worker.Deliver(task);
    ASSERT_GT(worker.scheduler.Queued(), 0u);
    worker.RunOnce();
  }
  while (worker.scheduler.Queued() > 0) (void)worker.scheduler.Drain({"chesscom", 0});
  Text(
      "update weir.tasks set state = 'parked', not_before = 'infinity' where state in ('planned', "
      "'dispatched')");
  Undelete(sim::Api::kChessCom, "hikaru");
  auto again = Full("chesscom", "hikaru");
  again.filter.since_ms = 0;  // another sync
  const JobId second = Open(again);
  while (Text("select finished_at is null from weir.jobs where id = " + std::to_string(second.value)) ==
         "t") {
    Text("update weir.lanes set not_before = null");
    for (const auto& task : Ready()) worker.Deliver(task);
    while (worker.scheduler.Queued() > 0) worker.RunOnce();
    EndJobs();
  }
  EXPECT_EQ(ledger::GetJob(session_, second)->totals.updated, 0) << "found unchanged: no row tells of it";
  const auto done = Finish(worker, first);
  EXPECT_EQ(done.state, "succeeded");
  EXPECT_EQ(done.totals.stale, 0);
  EXPECT_EQ(Stale("chesscom.games"), "0");
  ExpectEqualsUpstream("chesscom", "hikaru");
}

}  // namespace
}  // namespace weir::testing
