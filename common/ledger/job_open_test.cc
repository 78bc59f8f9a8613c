#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using OpenJobTest = testing::LedgerFixture;

TEST_F(OpenJobTest, WritesOneDiscoverTaskAnAccountAndItsLanes) {
  JobRequest request = Request({"alice", "bob"});
  request.accounts[0].lanes = 3;
  const JobId id = Open(request);
  EXPECT_EQ(
      Text("select count(*) from weir.tasks where kind = 0 and state = 'planned' and job_id = " + Id(id)),
      "2");
  EXPECT_EQ(Text("select count(*) from weir.lanes where meter = 'm'"), "3");
  auto job = GetJob(session_, id);
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->state, "queued");
  EXPECT_EQ(job->mode, "full");
  ASSERT_EQ(job->accounts.size(), 2u);
  EXPECT_EQ(job->accounts[1].account, "bob");
  EXPECT_FALSE(job->accounts[0].planned);
  EXPECT_EQ(Text("select traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-01$' from weir.jobs"), "t");
}

// Whoever asks may have a wrong clock; plans must not end before what is, nor after it.
TEST_F(OpenJobTest, ItsNowIsTheDatabases) {
  JobRequest request = Request({"alice"});
  request.now_ms.reset();
  Open(request);
  EXPECT_EQ(Text("select abs(now_ms - extract(epoch from created_at) * 1000) < 60000 from weir.jobs"), "t");
}

TEST_F(OpenJobTest, TheFirstSpellingOfAnAccountStays) {
  JobRequest request = Request({"alice"});
  request.accounts[0].name = "Alice";
  Open(request);
  request.filter.since_ms = 5;  // another sync
  request.accounts[0].name = "ALICE";
  const JobId second = Open(request);
  EXPECT_EQ(GetJob(session_, second)->accounts[0].account, "Alice");
}

TEST_F(OpenJobTest, AccountsNamedTwiceAreOne) {
  JobRequest request = Request({"alice", "bob", "alice"});
  EXPECT_EQ(GetJob(session_, Open(request))->accounts.size(), 2u);
}

TEST_F(OpenJobTest, TheSameSyncIsResumedWhateverTheOrderOfItsAccounts) {
  const JobId first = Open(Request({"alice", "bob"}));
  auto again = OpenJob(session_, Request({"bob", "alice"}));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->resumed);
  EXPECT_EQ(again->id, first);
  JobRequest other = Request({"alice", "bob"});
  other.mode = JobMode::kFull;
  EXPECT_NE(Open(other), first);
  other.filter.limit = 10;
  EXPECT_NE(Open(other), first);
}

TEST_F(OpenJobTest, AnEndedJobIsNotResumed) {
  const JobId first = Open(Request({"alice"}));
  ASSERT_TRUE(CancelJob(session_, first));
  EXPECT_NE(Open(Request({"alice"})), first);
}

TEST_F(OpenJobTest, TwoRequestsAtOnceOpenOneJob) {
  std::vector<JobId> ids(4);
  std::barrier start(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    threads.emplace_back([&, i] {
      pg::Session session(options_);
      auto connected = session.Connect();
      start.arrive_and_wait();
      if (auto job = OpenJob(session, Request({"alice", "bob"})); connected && job) ids[i] = job->id;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GT(ids[0].value, 0);
  for (const JobId id : ids) EXPECT_EQ(id, ids[0]);
  EXPECT_EQ(Text("select count(*) from weir.jobs"), "1");
  EXPECT_EQ(Text("select count(*) from weir.tasks"), "2");
}

TEST_F(OpenJobTest, ModeIsFullUntilTheFirstFullSyncIsWhole) {
  Run("insert into weir.accounts values ('chess', 'alice', 'alice', 'alice')");
  Run("insert into weir.full_syncs values ('chess', 'games', 'alice', 1, 0)");
  auto job = GetJob(session_, Open(Request({"alice", "bob"})));
  EXPECT_EQ(job->mode, "full");
  EXPECT_EQ(job->accounts[0].mode, "incremental");
  EXPECT_EQ(job->accounts[1].mode, "full");
  EXPECT_EQ(GetJob(session_, Open(Request({"alice"})))->mode, "incremental");
  JobRequest limited = Request({"alice"});
  limited.filter.limit = 5;
  EXPECT_EQ(GetJob(session_, Open(limited))->mode, "full");
}

TEST_F(OpenJobTest, AModeIsTheOneAskedForElseALimitMakesItFull) {
  Filter limited, bounded;
  limited.limit = 5;
  bounded.since_ms = 1;
  EXPECT_EQ(ModeForAll(std::nullopt, {}), std::nullopt);
  EXPECT_EQ(ModeForAll(std::nullopt, bounded), std::nullopt);
  EXPECT_EQ(ModeForAll(std::nullopt, limited), JobMode::kFull);
  EXPECT_EQ(ModeForAll(JobMode::kIncremental, limited), JobMode::kIncremental);
}

TEST_F(OpenJobTest, ADeadlineIsTheLaterOfBothRequests) {
  JobRequest request = Request({"alice"});
  request.deadline = std::chrono::hours(1);
  const JobId id = Open(request);
  EXPECT_EQ(Text("select deadline_at between now() + interval '59 min' and now() + interval '61 min' from "
                 "weir.jobs"),
            "t");
  request.deadline = std::chrono::minutes(1);
  EXPECT_EQ(Open(request), id);
  EXPECT_EQ(Text("select deadline_at > now() + interval '59 min' from weir.jobs"), "t");
  request.deadline.reset();
  EXPECT_EQ(Open(request), id);
  EXPECT_EQ(Text("select deadline_at is null from weir.jobs"), "t");
}

TEST_F(OpenJobTest, AnExpiredJobsUnfinishedTasksGoOnInTheNext) {
  JobRequest request = Request({"alice", "bob", "carol"});
  request.mode = JobMode::kFull;
  const JobId first = Open(request);
  Plan(first, "alice", 4);
  Run("update weir.tasks set state = 'done', inserted = 9 where kind = 1 and lo = 0");
  Run("update weir.tasks set page = 3, position = 7, digest = 5, inserted = 2, budget = 6 where kind = 1 and "
      "lo = 1");
  Plan(first, "carol", 1);
  Run("update weir.tasks set state = 'done' where account = 'carol'");
  Expire(first);
  EXPECT_EQ(GetJob(session_, first)->state, "expired");

  const JobId second = Open(request);
  EXPECT_EQ(Text("select continues from weir.jobs where id = " + Id(second)), Id(first));
  // alice goes on with three tasks where they stood, bob is discovered anew, carol was whole.
  const std::string of_second = " from weir.tasks where job_id = " + Id(second);
  EXPECT_EQ(Text("select string_agg(account || kind || ':' || lo, ' ' order by account, lo)" + of_second),
            "alice1:1 alice1:2 alice1:3 bob0:0");
  EXPECT_EQ(Text("select page || '.' || position || '.' || digest || '.' || budget || '.' || inserted" +
                 of_second + " and lo = 1"),
            "3.7.5.4.0");
  EXPECT_EQ(Text("select count(*)" + of_second + " and lo > 1 and budget is not null"), "0");
  auto ended = EndJobs(session_);
  ASSERT_TRUE(ended);
  EXPECT_EQ(GetJob(session_, second)->accounts[2].state, "succeeded");
}

// A plan of many questions that has begun goes on, too: what was read before its end is not read again.
TEST_F(OpenJobTest, AnExpiredJobsUnfinishedPlanGoesOnInTheNext) {
  JobRequest request = Request({"alice"});
  request.mode = JobMode::kFull;
  std::vector<JobId> jobs{Open(request)};
  Plan(jobs[0], "alice", 3);
  Run("update weir.tasks set state = 'done', inserted = 9, fetched = 9 where kind = 1 and lo = 0");
  Run("insert into weir.tasks (job_id, account, meter, lane, kind, lo, key) select job_id, account, meter, "
      "lane, 0, "
      "7, 'border' from weir.tasks where kind = 1 and lo = 0");
  Run("update weir.job_accounts set planned = false");
  const std::string left = "alice0:7border alice1:1 alice1:2";
  for (int i = 0; i < 2; ++i) {
    Expire(jobs.back());
    jobs.push_back(Open(request));
    const std::string of_it = " where job_id = " + Id(jobs.back());
    EXPECT_EQ(
        Text("select string_agg(account || kind || ':' || lo || key, ' ' order by account, kind, lo) from "
             "weir.tasks" +
             of_it),
        left);
    EXPECT_EQ(Text("select planned || ' ' || carried from weir.job_accounts" + of_it), "false 9");
  }
}

TEST_F(OpenJobTest, AfterAnExpiredJobWhatWasWholeIsReadIncrementally) {
  const JobId first = Open(Request({"alice", "bob"}));
  Run("update weir.tasks set state = 'done' where account = 'alice'");
  Run("update weir.job_accounts set planned = true where account = 'alice'");
  ASSERT_TRUE(EndJobs(session_));
  Expire(first);
  const JobId second = Open(Request({"alice", "bob"}));
  auto job = GetJob(session_, second);
  EXPECT_EQ(job->accounts[0].mode, "incremental");
  EXPECT_EQ(job->accounts[1].mode, "full");
  EXPECT_EQ(Text("select count(*) from weir.tasks where kind = 0 and job_id = " + Id(second)), "2");
}

}  // namespace
}  // namespace weir::ledger
