#include "common/ledger/jobs.h"

#include <gtest/gtest.h>

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

TEST_F(JobsTest, FailuresTellWhatIsDead) {
  const JobId id = Open(Request({"alice", "bob"}));
  Plan(id, "alice", 2);
  Run("update weir.tasks set state = 'dead', error_class = 'gone', http_status = 404, attempts = 2, "
      "error_message = 'm', "
      "error_hint = 'h', error_body = 'b' where kind = 1 and lo = 1");
  FailureFilter filter;
  auto failures = ListFailures(session_, filter);
  ASSERT_TRUE(failures) << failures.error().message;
  ASSERT_EQ(failures->size(), 1u);
  const Failure& f = failures->front();
  EXPECT_EQ(f.job, id);
  EXPECT_EQ(f.page, "pages 1..2");
  EXPECT_EQ(f.error_class, "gone");
  EXPECT_EQ(f.http_status, 404);
  EXPECT_EQ(f.attempts, 2);
  EXPECT_EQ(f.hint, "h");
  EXPECT_EQ(f.body, "b");
  filter.error_class = "auth";
  EXPECT_TRUE(ListFailures(session_, filter)->empty());
  filter.error_class = "";
  filter.job = JobId{id.value + 1};
  EXPECT_EQ(ListFailures(session_, filter).error().error_class, ErrorClass::kNotFound);
}

TEST_F(JobsTest, ReplayReopensTheJobOnceAndOnlyWhatIsDead) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 3);
  Run("update weir.tasks set state = 'done' where kind = 1 and lo = 0");
  Run("update weir.tasks set state = 'dead', error_class = 'gone', attempts = 8 where kind = 1 and lo = 1");
  Run("update weir.tasks set state = 'dead', error_class = 'invalid' where kind = 1 and lo = 2");
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  FailureFilter filter;
  filter.job = id;
  auto counts = Replay(session_, filter, true);
  ASSERT_TRUE(counts) << counts.error().message;
  ASSERT_EQ(counts->size(), 2u);
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  filter.error_class = "gone";
  counts = Replay(session_, filter, false);
  ASSERT_TRUE(counts) << counts.error().message;
  ASSERT_EQ(counts->size(), 1u);
  EXPECT_EQ((*counts)[0].tasks, 1);
  EXPECT_EQ(GetJob(session_, id)->state, "running");
  EXPECT_EQ(
      Text(
          "select state || attempts || coalesce(error_class, '-') from weir.tasks where kind = 1 and lo = 1"),
      "planned0-");
  EXPECT_TRUE(Replay(session_, filter, false)->empty());
  Run("update weir.tasks set state = 'done' where kind = 1 and lo = 1");
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  EXPECT_EQ(GetJob(session_, id)->accounts[0].error_class, "invalid");
}

TEST_F(JobsTest, ReplayStopsAfterItsLimit) {
  const JobId id = Open(Request({"alice"}));
  Run("update weir.tasks set state = 'dead', replays = 5");
  ASSERT_TRUE(EndJobs(session_));
  FailureFilter filter;
  filter.job = id;
  EXPECT_TRUE(Replay(session_, filter, false)->empty());
  EXPECT_EQ(GetJob(session_, id)->state, "failed");
}

TEST_F(JobsTest, ReplayBesideTheSameRunningSyncIsAConflict) {
  const JobId id = Open(Request({"alice"}));
  Run("update weir.tasks set state = 'dead'");
  ASSERT_TRUE(EndJobs(session_));
  Open(Request({"alice"}));
  FailureFilter filter;
  filter.job = id;
  EXPECT_EQ(Replay(session_, filter, false).error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(GetJob(session_, id)->state, "failed");
}

TEST_F(JobsTest, LiveWorkersAreThoseSeenLately) {
  Run("insert into weir.workers (id, host, pid, seen_at) values ('a', 'h', 1, now()), ('b', 'h', 2, now() - "
      "interval '1 min')");
  EXPECT_EQ(CountLiveWorkers(session_, std::chrono::seconds(10)).value(), 1);
}

}  // namespace
}  // namespace weir::ledger
