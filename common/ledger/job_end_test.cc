#include <gtest/gtest.h>

#include "common/ledger/close_tasks.h"
#include "common/ledger/failures.h"
#include "common/ledger/tasks.h"
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

// One window or slice may be all of an account: what came before its page died is kept, and so are rejects.
TEST_F(JobEndTest, AnAccountWhoseOnlyTaskDiedAfterRecordsCameIsPartial) {
  const JobId id = Open(Request({"stored", "rejected", "nothing", "planless"}));
  for (const char* account : {"stored", "rejected", "nothing"}) Plan(id, account, 1);
  Run("update weir.job_accounts set planned = account <> 'planless'");
  Run("update weir.tasks set state = 'done' where kind = 0 and account <> 'planless'");
  Run("update weir.tasks set state = 'dead', error_class = 'transient' where state <> 'done'");
  Run("update weir.tasks set fetched = 500, inserted = 500 where kind = 1 and account = 'stored'");
  Run("update weir.tasks set fetched = 9, rejected = 9, error_class = 'invalid' where kind = 1 and account = "
      "'rejected'");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  const auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "partial");
  EXPECT_EQ(job->accounts[0].state, "partial");
  EXPECT_EQ(job->accounts[0].error_class, "transient");
  EXPECT_EQ(job->accounts[1].state, "partial");
  EXPECT_EQ(job->accounts[1].error_class, "invalid");
  EXPECT_EQ(job->accounts[2].state, "failed");
  EXPECT_EQ(job->accounts[3].state, "failed");
  EXPECT_EQ(Text("select count(*) from weir.full_syncs"), "0");
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

// Work on many rows goes in slices; whoever is interrupted in between is followed by another.
TEST_F(JobEndTest, TasksAreClosedInSlices) {
  const JobId id = Open(Request({"alice", "bob"}));
  Plan(id, "alice", 25);
  Plan(id, "bob", 10);
  Run("update weir.tasks set state = 'running', epoch = 4, owner = 'w' where kind = 1 and lo = 7");
  Run("update weir.jobs set closing = 'cancelled'");
  ASSERT_TRUE(CloseTasks(session_, Id(id), "cancelled", 4));
  EXPECT_EQ(Text("select count(*) from weir.tasks where state = 'cancelled'"), "35");
  EXPECT_EQ(Text("select max(epoch) from weir.tasks"), "5");
}

TEST_F(JobEndTest, AJobThatIsBeingClosedIsNeitherSentNorClaimedAndEndsWithTheNextPass) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 3);
  const TaskId task{std::stoll(Text("select min(id) from weir.tasks where kind = 1"))};
  Run("update weir.jobs set closing = 'cancelled'");
  EXPECT_TRUE(TakeReady(session_, {})->empty());
  EXPECT_EQ(ClaimTask(session_, task, {.owner = "w"})->kind, ClaimResult::Kind::kEnded);
  EXPECT_EQ(PauseJob(session_, id).error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "cancelled");
}

// It stayed marked: then a replay of its dead tasks was closed at once, and they were lost.
TEST_F(JobEndTest, AJobThatWasClosedIsOpenWhenItsTasksAreReplayed) {
  for (const bool cancelled : {true, false}) {
    const JobId id = Open(Request({"alice"}));
    Plan(id, "alice", 2);
    Run("update weir.tasks set state = 'dead', error_class = 'gone' where kind = 1 and lo = 0 and job_id = " +
        Id(id));
    if (cancelled) {
      ASSERT_TRUE(CancelJob(session_, id));
    } else {
      Expire(id);
    }
    FailureFilter of_job;
    of_job.job = id;
    ASSERT_TRUE(Replay(session_, of_job, {}));
    EXPECT_EQ(TakeReady(session_, {})->size(), 1u);
    ASSERT_TRUE(EndJobs(session_));
    EXPECT_EQ(GetJob(session_, id)->state, "running");
    ASSERT_TRUE(CancelJob(session_, id));
  }
}

TEST_F(JobEndTest, AJobThatIsBeingClosedTakesNothingBack) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 2);
  Run("update weir.tasks set state = 'dead', error_class = 'gone' where kind = 1 and lo = 0");
  Run("update weir.jobs set closing = 'expired'");
  FailureFilter of_job;
  of_job.job = id;
  auto replayed = Replay(session_, of_job, {});
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(Text("select count(*) from weir.tasks where state = 'dead'"), "1");
}

// A sweep that is due keeps a job open only while nothing else ends it.
TEST_F(JobEndTest, AnExpiryDoesNotWaitForASweep) {
  const JobId id = Open(Request({"alice", "bob"}));
  Run("update weir.job_accounts set state = 'succeeded', sweep = 'due' where account = 'alice'");
  Run("update weir.tasks set state = 'done' where account = 'alice'");
  Expire(id);
  EXPECT_EQ(GetJob(session_, id)->state, "expired");
  EXPECT_EQ(Text("select sweep from weir.job_accounts where account = 'alice'"), "due");
}

TEST_F(JobEndTest, ACancelOverridesAnExpiryThatIsUnderWay) {
  const JobId id = Open(Request({"alice"}));
  Run("update weir.jobs set closing = 'expired'");
  ASSERT_TRUE(CancelJob(session_, id));
  EXPECT_EQ(GetJob(session_, id)->state, "cancelled");
}

TEST_F(JobEndTest, TheSameSyncGoesOnWithWhatAnExpiryUnderWayLeaves) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 3);
  Run("update weir.jobs set closing = 'expired', deadline_at = now()");
  auto next = OpenJob(session_, Request({"alice"}));
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_NE(next->id, id);
  EXPECT_EQ(GetJob(session_, id)->state, "expired");
  EXPECT_EQ(Text("select count(*) from weir.tasks where kind = 1 and state = 'planned' and job_id = " +
                 Id(next->id)),
            "3");
}

TEST_F(JobEndTest, RefusedCredentialsEndTheAccountsOtherTasks) {
  const JobId id = Open(Request({"alice", "bob"}));
  Plan(id, "alice", 4);
  Plan(id, "bob", 2);
  const auto task = [&](int lo) {
    return TaskId{std::stoll(Text("select id from weir.tasks where kind = 1 and account = 'alice' and lo = " +
                                  std::to_string(lo)))};
  };
  auto refused = ClaimTask(session_, task(0), {.owner = "w"});
  auto running = ClaimTask(session_, task(1), {.owner = "w"});
  ASSERT_TRUE(refused && refused->task && running && running->task);
  ASSERT_TRUE(KillTask(session_, *refused->task, MakeError(ErrorClass::kAuth, "refused"), "", "", {}));
  EXPECT_EQ(ClaimTask(session_, task(2), {.owner = "w"})->kind, ClaimResult::Kind::kEnded);
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(
      Text("select string_agg(state, ' ' order by lo) from weir.tasks where kind = 1 and account = 'alice'"),
      "dead running dead dead");
  EXPECT_EQ(
      Text("select string_agg(state, ' ' order by lo) from weir.tasks where kind = 1 and account = 'bob'"),
      "planned planned");
  EXPECT_EQ(Text("select count(*) from weir.tasks where letter_due and error_message = 'refused'"), "3");
  // The task that runs is the lane's own: it may be just about to be committed.
  Run("update weir.tasks set state = 'done' where state = 'running'");
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(GetJob(session_, id)->accounts[0].state, "failed");
  FailureFilter all;
  all.job = id;
  ASSERT_TRUE(Replay(session_, all, {}));
  EXPECT_EQ(ClaimTask(session_, task(2), {.owner = "w"})->kind, ClaimResult::Kind::kClaimed);
}

// C10: a batch that adds a successor holds the job's row as its foreign key's, and then waits for nobody.
TEST_F(JobEndTest, ACancelDoesNotWaitInACircleWithABatchThatAddsASuccessor) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 1);
  auto claim = ClaimTask(session_, TaskId{std::stoll(Text("select id from weir.tasks where kind = 1"))},
                         {.owner = "w"});
  ASSERT_TRUE(claim && claim->task);
  pg::Session batch(options_);
  ASSERT_TRUE(batch.Script(
      "begin; insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi) select job_id, "
      "account, meter, lane, kind, 5, 6 from weir.tasks where kind = 1"));
  auto locked = session_.Exec("select from weir.jobs where id = " + Id(id) + " for no key update nowait");
  EXPECT_TRUE(locked) << locked.error().message;
  ASSERT_TRUE(batch.Script("commit"));
  ASSERT_TRUE(CancelJob(session_, id));
  EXPECT_EQ(Text("select count(*) from weir.tasks where state = 'cancelled'"), "2");
}

TEST_F(JobEndTest, OneJobsTroubleDoesNotStopTheEndOfAnother) {
  const JobId ill = Open(Request({"alice"})), well = Open(Request({"bob"}));
  Run("create function refuse() returns trigger language plpgsql as $$begin raise exception 'no'; end$$");
  Run("create trigger refuse before update on weir.job_accounts for each row when (old.account = 'alice') "
      "execute function refuse()");
  Run("update weir.tasks set state = 'done'");
  std::vector<FailedJob> failed;
  EXPECT_EQ(EndJobs(session_, false, &failed).value(), std::vector<JobId>{well});
  ASSERT_FALSE(failed.empty());
  for (const FailedJob& one : failed) EXPECT_EQ(one.job, ill);
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

// Another program that shares the row makes its xmax a multixact.
TEST_F(JobEndTest, ARowThatIsSharedHidesNoZombie) {
  const JobId id = Open(Request({"alice"}));
  Run("update weir.tasks set state = 'running', epoch = 1, owner = 'w'");
  pg::Session sharer(options_), zombie(options_);
  ASSERT_TRUE(sharer.Script("begin; select from weir.tasks for key share"));
  ASSERT_TRUE(zombie.Script("begin; update weir.tasks set page = 1"));
  auto claim = ClaimTask(session_, TaskId{std::stoll(Text("select min(id) from weir.tasks"))},
                         {.owner = "next", .lock_timeout = std::chrono::milliseconds(200)});
  ASSERT_TRUE(claim) << claim.error().message;
  EXPECT_EQ(claim->kind, ClaimResult::Kind::kClaimed);
  EXPECT_FALSE(zombie.Script("commit"));
  pg::Session another(options_);
  ASSERT_TRUE(another.Script("begin; update weir.tasks set page = 1"));
  ASSERT_TRUE(CancelJob(session_, id));
  EXPECT_EQ(GetJob(session_, id)->state, "cancelled");
  EXPECT_FALSE(another.Script("commit"));
  EXPECT_TRUE(sharer.Script("commit")) << "who only shares the row is in nobody's way";
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
