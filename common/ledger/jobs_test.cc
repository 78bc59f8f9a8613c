#include "common/ledger/jobs.h"

#include <gtest/gtest.h>

#include "common/ledger/lanes.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using JobsTest = testing::LedgerFixture;

TEST_F(JobsTest, NumbersAreSumsOverTheAccountsTasks) {
  const JobId id = Open(Request({"alice", "bob"}));
  Plan(id, "alice", 3);
  Run("update weir.tasks set requests = 1 where kind = 0");
  Run("update weir.tasks set state = 'done', pages = 2, fetched = 10, inserted = 4, updated = 3, unchanged = "
      "1, rejected = 1, "
      "duplicates = 1, requests = 2 where kind = 1 and lo < 2");
  auto job = GetJob(session_, id);
  ASSERT_TRUE(job);
  const AccountStatus& alice = job->accounts[0];
  EXPECT_EQ(alice.counters.pages, 4);
  EXPECT_EQ(alice.counters.fetched, 20);
  EXPECT_EQ(alice.counters.inserted, 8);
  EXPECT_EQ(alice.counters.updated, 6);
  EXPECT_EQ(alice.counters.unchanged, 2);
  EXPECT_EQ(alice.counters.rejected, 2);
  EXPECT_EQ(alice.counters.duplicates, 2);
  EXPECT_EQ(alice.counters.requests, 5);
  EXPECT_EQ(alice.planned_tasks, 3);
  EXPECT_EQ(alice.finished_tasks, 2);
  EXPECT_TRUE(alice.planned);
  EXPECT_FALSE(job->accounts[1].planned);
  EXPECT_EQ(job->totals.fetched, 20);
  EXPECT_EQ(job->totals.requests, 6);
}

TEST_F(JobsTest, AnAccountWaitsWhenAllItsLanesDo) {
  JobRequest request = Request({"alice"});
  request.accounts[0].lanes = 2;
  const JobId id = Open(request);
  Run("update weir.lanes set not_before = now() + interval '60 s', waiting_for = 'throttled' where lane = 0");
  EXPECT_EQ(GetJob(session_, id)->accounts[0].waiting_for, "");
  Run("update weir.lanes set not_before = now() + interval '90 s', waiting_for = 'database' where lane = 1");
  auto job = GetJob(session_, id);
  EXPECT_EQ(job->accounts[0].waiting_for, "throttled");
  EXPECT_GT(job->accounts[0].waiting_ms, 50'000);
  EXPECT_LE(job->accounts[0].waiting_ms, 60'000);
  Run("update weir.tasks set state = 'done'");
  EXPECT_EQ(GetJob(session_, id)->accounts[0].waiting_for, "");
}

TEST_F(JobsTest, AnAccountWhoseTasksAreAllParkedWaits) {
  const JobId id = Open(Request({"alice"}));
  Run("update weir.tasks set state = 'parked', not_before = now() + interval '30 s'");
  auto job = GetJob(session_, id);
  EXPECT_EQ(job->accounts[0].waiting_for, "backoff");
  EXPECT_GT(job->accounts[0].waiting_ms, 20'000);
}

TEST_F(JobsTest, TheListIsNewestFirst) {
  const JobId first = Open(Request({"alice"}));
  const JobId second = Open(Request({"bob"}));
  auto jobs = ListJobs(session_, 10, false);
  ASSERT_TRUE(jobs);
  ASSERT_EQ(jobs->size(), 2u);
  EXPECT_EQ((*jobs)[0].id, second);
  EXPECT_EQ((*jobs)[1].accounts[0].account, "alice");
  ASSERT_TRUE(CancelJob(session_, second));
  jobs = ListJobs(session_, 10, true);
  ASSERT_EQ(jobs->size(), 1u);
  EXPECT_EQ((*jobs)[0].id, first);
  EXPECT_EQ(ListJobs(session_, 1, false)->size(), 1u);
}

TEST_F(JobsTest, AnUnknownJobIsNotFound) {
  EXPECT_EQ(GetJob(session_, JobId{12}).error().error_class, ErrorClass::kNotFound);
}

TEST_F(JobsTest, LiveWorkersAreThoseSeenLately) {
  Run("insert into weir.workers (id, host, pid, seen_at) values ('a', 'h', 1, now()), ('b', 'h', 2, now() - "
      "interval '1 min')");
  EXPECT_EQ(CountLiveWorkers(session_, std::chrono::seconds(10)).value(), 1);
  Run("update weir.workers set memory = 100");
  ASSERT_TRUE(Heartbeat(session_, "a", {"h", 1, 20}));
  ASSERT_TRUE(Heartbeat(session_, "c", {"h", 3, 30}));
  const auto memory = LiveWorkersMemory(session_, std::chrono::seconds(10));
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->workers, 2);
  EXPECT_EQ(memory->bytes, 50);
  EXPECT_EQ(memory->largest, 30);
}

}  // namespace
}  // namespace weir::ledger
