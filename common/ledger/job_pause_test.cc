#include <gtest/gtest.h>

#include "common/ledger/tasks.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

class JobPauseTest : public testing::LedgerFixture {
 protected:
  // A job with a task of each state an open one can have: pages 0 running, 1 dispatched, 2 parked, 3 done,
  // 4 planned.
  void SetUp() override {
    id_ = Open(Request({"alice"}));
    Plan(id_, "alice", 5);
    Run("update weir.tasks set state = 'dispatched', dispatched_at = now() where kind = 1 and lo in (0, 1)");
    auto claim = ClaimTask(session_, Task(0), {.owner = "w"});
    ASSERT_TRUE(claim && claim->task) << (claim ? claim->reason : claim.error().message);
    running_ = *claim->task;
    Run("update weir.tasks set state = 'parked', not_before = now() + interval '1 h' where kind = 1 and lo = "
        "2");
    Run("update weir.tasks set state = 'done' where kind = 1 and lo = 3");
    ASSERT_TRUE(EndJobs(session_));
    ASSERT_EQ(GetJob(session_, id_)->state, "running");
  }
  TaskId Task(int lo) {
    return TaskId{
        std::stoll(Text("select id from weir.tasks where kind = 1 and lo = " + std::to_string(lo)))};
  }
  std::string States() {
    return Text("select string_agg(state, ' ' order by lo) from weir.tasks where kind = 1");
  }

  JobId id_;
  ClaimedTask running_;
};

TEST_F(JobPauseTest, APausedJobHasNothingSentAndFencesWhatRuns) {
  ASSERT_TRUE(PauseJob(session_, id_));
  EXPECT_EQ(States(), "planned planned parked done planned");
  auto job = GetJob(session_, id_);
  EXPECT_EQ(job->state, "paused");
  EXPECT_EQ(job->accounts[0].state, "paused");
  EXPECT_FALSE(job->Ended());
  EXPECT_TRUE(TakeReady(session_, {})->empty());
  // The worker's next batch.
  Advance advance;
  advance.fetched = 7;
  ASSERT_TRUE(PrepareFence(session_));
  auto rows = session_.Script("begin; " + FenceSql(running_, advance) + "commit");
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(Text("select sum(fetched) from weir.tasks"), "0");
  // A message that was on its way is only acknowledged.
  auto claim = ClaimTask(session_, Task(1), {.owner = "w"});
  ASSERT_TRUE(claim) << claim.error().message;
  EXPECT_EQ(claim->kind, ClaimResult::Kind::kParked);
}

TEST_F(JobPauseTest, AResumedJobGoesOnWhereItWas) {
  Run("update weir.tasks set position = 40 where kind = 1 and lo = 0");
  ASSERT_TRUE(PauseJob(session_, id_));
  ASSERT_TRUE(ResumeJob(session_, id_));
  auto job = GetJob(session_, id_);
  EXPECT_EQ(job->state, "running");
  EXPECT_EQ(job->accounts[0].state, "running");
  EXPECT_EQ(TakeReady(session_, {})->size(), 2u);
  auto claim = ClaimTask(session_, Task(0), {.owner = "w"});
  ASSERT_TRUE(claim && claim->task);
  EXPECT_EQ(claim->task->position, 40);
  EXPECT_EQ(Text("select sum(attempts) + sum(crashes) from weir.tasks"), "0");
}

TEST_F(JobPauseTest, AJobThatNeverStartedIsQueuedAgain) {
  const JobId id = Open(Request({"bob"}));
  ASSERT_TRUE(PauseJob(session_, id));
  ASSERT_TRUE(ResumeJob(session_, id));
  EXPECT_EQ(GetJob(session_, id)->state, "queued");
  EXPECT_EQ(GetJob(session_, id)->accounts[0].state, "queued");
}

TEST_F(JobPauseTest, TwiceIsFineAndAnEndedJobIsAConflict) {
  ASSERT_TRUE(ResumeJob(session_, id_));
  EXPECT_EQ(Text("select state from weir.tasks where kind = 1 and lo = 0"), "running");
  ASSERT_TRUE(PauseJob(session_, id_));
  ASSERT_TRUE(PauseJob(session_, id_));
  ASSERT_TRUE(CancelJob(session_, id_));
  EXPECT_EQ(GetJob(session_, id_)->state, "cancelled");
  for (const auto& result : {PauseJob(session_, id_), ResumeJob(session_, id_)}) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().error_class, ErrorClass::kConflict);
  }
  EXPECT_EQ(PauseJob(session_, JobId{999}).error().error_class, ErrorClass::kNotFound);
}

TEST_F(JobPauseTest, WhatWasClaimedInTheMomentOfThePauseIsHeld) {
  Run("update weir.jobs set state = 'paused'");
  EXPECT_EQ(HoldPaused(session_).value(), 2);
  EXPECT_EQ(States(), "planned planned parked done planned");
  EXPECT_EQ(Text("select epoch from weir.tasks where kind = 1 and lo = 0"),
            std::to_string(running_.epoch.value + 1));
  EXPECT_EQ(HoldPaused(session_).value(), 0);
}

TEST_F(JobPauseTest, PauseDoesNotWaitForAZombiesRowLock) {
  pg::Session zombie(options_);
  ASSERT_TRUE(zombie.Script("begin; update weir.tasks set page = 1"));
  ASSERT_TRUE(PauseJob(session_, id_));
  EXPECT_EQ(GetJob(session_, id_)->state, "paused");
  EXPECT_FALSE(zombie.Script("commit"));
}

TEST_F(JobPauseTest, APausedJobStillExpires) {
  ASSERT_TRUE(PauseJob(session_, id_));
  Expire(id_);
  EXPECT_EQ(GetJob(session_, id_)->state, "expired");
}

TEST_F(JobPauseTest, ARunningTaskOfAPausedJobIsNoLostOne) {
  Run("insert into weir.workers (id, host, pid) values ('w', 'h', 1)");
  ASSERT_TRUE(PauseJob(session_, id_));
  Run("update weir.tasks set advanced_at = now() - interval '1 h', dispatched_at = now() - interval '1 h'");
  EXPECT_EQ(RequeueLost(session_, std::chrono::seconds(10)).value(), 0);
}

}  // namespace
}  // namespace weir::ledger
