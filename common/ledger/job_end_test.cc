#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using JobEndTest = testing::LedgerFixture;

TEST_F(JobEndTest, AJobEndsOnlyWhenAllItsTasksHave) {
  const JobId id = Open(Request({"alice"}));
  EXPECT_TRUE(EndJobs(session_)->empty());
  Plan(id, "alice", 2);
  Run("update weir.tasks set state = 'done' where lo = 0 and kind = 1");
  EXPECT_TRUE(EndJobs(session_)->empty());
  Run("update weir.tasks set state = 'done' where lo = 1 and kind = 1");
  EXPECT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "succeeded");
  EXPECT_FALSE(job->finished_at.empty());
  EXPECT_EQ(Text("select count(*) from weir.full_syncs"), "1");
  EXPECT_TRUE(EndJobs(session_)->empty());
}

TEST_F(JobEndTest, ABoundedSyncIsNoFullSync) {
  Filter limit, since, until;
  limit.limit = 3;
  since.since_ms = 1;
  until.until_ms = 2;
  for (const Filter& filter : {limit, since, until}) {
    JobRequest request = Request({"alice"});
    request.filter = filter;
    const JobId id = Open(request);
    EXPECT_EQ(GetJob(session_, id)->mode, "full");
    Run("update weir.tasks set state = 'done'");
    ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
    EXPECT_EQ(Text("select count(*) from weir.full_syncs"), "0");
  }
}

TEST_F(JobEndTest, AJobStartsWithItsFirstRunningTask) {
  const JobId id = Open(Request({"alice", "bob"}));
  Run("update weir.tasks set state = 'dispatched'");
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(GetJob(session_, id)->state, "queued");
  Run("update weir.tasks set state = 'running' where account = 'alice'");
  ASSERT_TRUE(EndJobs(session_));
  auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "running");
  EXPECT_EQ(job->accounts[0].state, "running");
  EXPECT_EQ(job->accounts[1].state, "queued");
}

// A page that is refused at once is parked before anybody looks.
TEST_F(JobEndTest, AJobHasStartedWithItsPlanThoughNobodySawATaskRun) {
  const JobId id = Open(Request({"alice", "bob"}));
  Run("update weir.tasks set state = 'done' where kind = 0 and account = 'alice'");
  Plan(id, "alice", 2);
  Run("update weir.tasks set state = 'parked', not_before = now() + interval '1 h' where kind = 1");
  ASSERT_TRUE(EndJobs(session_));
  auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "running");
  EXPECT_FALSE(job->started_at.empty());
  EXPECT_EQ(job->accounts[0].state, "running");
  EXPECT_EQ(job->accounts[1].state, "queued");
}

TEST_F(JobEndTest, AccountsFailAloneAndTellWhy) {
  const JobId id = Open(Request({"dead", "partly", "allpages", "fine"}));
  Run("update weir.tasks set state = 'dead', error_class = 'gone', error_message = 'no such player' where "
      "account = 'dead'");
  for (const char* account : {"partly", "allpages", "fine"}) Plan(id, account, 2);
  Run("update weir.tasks set state = 'done' where kind = 1 and account in ('partly', 'fine')");
  Run("update weir.tasks set state = 'dead', error_class = 'invalid' where account = 'partly' and lo = 1");
  Run("update weir.tasks set state = 'dead', error_class = 'transient' where account = 'allpages' and kind = "
      "1");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "partial");
  EXPECT_EQ(job->accounts[0].state, "failed");
  EXPECT_EQ(job->accounts[0].error_class, "gone");
  EXPECT_EQ(job->accounts[0].error_message, "no such player");
  EXPECT_EQ(job->accounts[0].counters.dead_pages, 0);
  EXPECT_EQ(job->accounts[1].state, "partial");
  EXPECT_EQ(job->accounts[1].counters.dead_pages, 1);
  EXPECT_EQ(job->accounts[2].state, "failed");
  EXPECT_EQ(job->accounts[2].error_class, "transient");
  EXPECT_EQ(job->accounts[3].state, "succeeded");
  EXPECT_EQ(job->accounts[3].error_class, "");
  EXPECT_EQ(Text("select string_agg(account, ' ') from weir.full_syncs"), "fine");
}

TEST_F(JobEndTest, CredentialsRefusedInTheMiddleFailTheAccount) {
  const JobId id = Open(Request({"a", "b"}));
  Plan(id, "a", 3);
  Run("update weir.tasks set state = 'done'");
  Run("update weir.tasks set state = 'dead', error_class = 'transient' where kind = 1 and lo = 1");
  Run("update weir.tasks set state = 'dead', error_class = 'auth' where kind = 1 and lo = 2");
  ASSERT_TRUE(EndJobs(session_));
  const auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "partial");
  EXPECT_EQ(job->accounts[0].state, "failed");
  EXPECT_EQ(job->accounts[0].error_class, "auth");
}

TEST_F(JobEndTest, AJobWhoseAccountsAllFailedFailed) {
  const JobId id = Open(Request({"a", "b"}));
  Run("update weir.tasks set state = 'dead', error_class = 'auth'");
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(GetJob(session_, id)->state, "failed");
}

TEST_F(JobEndTest, CancelEndsOpenTasksAndFencesRunningOnes) {
  const JobId id = Open(Request({"alice", "bob"}));
  Plan(id, "alice", 3);
  Run("update weir.tasks set state = 'done' where kind = 1 and lo = 0");
  Run("update weir.tasks set state = 'running', epoch = 4, owner = 'w' where kind = 1 and lo = 1");
  Run("update weir.tasks set state = 'done' where account = 'bob'");
  ASSERT_TRUE(CancelJob(session_, id));
  auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "cancelled");
  EXPECT_EQ(job->accounts[0].state, "cancelled");
  EXPECT_EQ(job->accounts[1].state, "succeeded");
  EXPECT_EQ(Text("select epoch || state from weir.tasks where kind = 1 and lo = 1"), "5cancelled");
  EXPECT_EQ(CancelJob(session_, id).error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(CancelJob(session_, JobId{999}).error().error_class, ErrorClass::kNotFound);
}

TEST_F(JobEndTest, CancelDoesNotWaitForAZombiesRowLock) {
  const JobId id = Open(Request({"alice"}));
  Run("update weir.tasks set state = 'running', epoch = 1, owner = 'w'");
  pg::Session zombie(options_);
  ASSERT_TRUE(zombie.Script("begin; update weir.tasks set page = 1"));
  ASSERT_TRUE(CancelJob(session_, id));
  EXPECT_EQ(GetJob(session_, id)->state, "cancelled");
  EXPECT_FALSE(zombie.Script("commit"));
}

TEST_F(JobEndTest, AJobPastItsDeadlineExpires) {
  JobRequest request = Request({"alice"});
  request.deadline = std::chrono::hours(1);
  const JobId id = Open(request);
  EXPECT_TRUE(EndJobs(session_)->empty());
  Run("update weir.jobs set deadline_at = now() - interval '1 s'");
  EXPECT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "expired");
  EXPECT_EQ(Text("select state from weir.tasks"), "expired");
}

TEST_F(JobEndTest, TheEndIsNotified) {
  const JobId id = Open(Request({"alice"}));
  pg::Session listener(options_);
  ASSERT_TRUE(listener.Script("listen weir_jobs"));
  ASSERT_TRUE(CancelJob(session_, id));
  auto notified = listener.WaitNotify(std::chrono::seconds(5));
  ASSERT_TRUE(notified);
  EXPECT_TRUE(*notified);
}

}  // namespace
}  // namespace weir::ledger
