#include "common/ledger/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/ledger/failures.h"
#include "common/ledger/migrations.h"
#include "common/ledger/seen.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::chrono::hours kWeek{7 * 24};
constexpr std::chrono::hours kQuarter{90 * 24};

class RetentionTest : public testing::LedgerFixture {
 protected:
  // A job of alice that read `tasks` pages, each of which counted the same.
  JobId Read(int tasks, const std::string& states = "'done'") {
    const JobId id = Open(Request({"alice"}));
    Plan(id, "alice", tasks);
    Run("update weir.tasks set state = " + states +
        ", pages = 1, fetched = 5, inserted = 2, updated = 1, unchanged = 1, rejected = 0, duplicates = 1, "
        "requests = 2, advanced_at = now(), finished_at = now() where kind = 1 and job_id = " +
        Id(id));
    EXPECT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
    return id;
  }
  void Age(JobId id, int days) {
    Run("update weir.jobs set finished_at = finished_at - interval '" + std::to_string(days) +
        " days' where id = " + Id(id));
  }
  // Until nothing is left to do; how many batches.
  int Prune(JobId id, Part part, std::chrono::milliseconds age, int batch = 1000) {
    PruneCursor cursor;
    for (int batches = 1; batches < 1000; ++batches) {
      auto pruned = PruneJob(session_, id, part, age, cursor, batch);
      EXPECT_TRUE(pruned) << pruned.error().message;
      if (!pruned || pruned->busy) return 0;
      sum_.tasks += pruned->tasks;
      sum_.rejects += pruned->rejects;
      sum_.jobs += pruned->jobs;
      if (pruned->done) return batches;
    }
    ADD_FAILURE() << "no end";
    return 0;
  }
  std::vector<JobId> Due(Part part, std::chrono::milliseconds age) {
    auto due = JobsDue(session_, part, age, 10);
    EXPECT_TRUE(due) << due.error().message;
    return due ? *due : std::vector<JobId>();
  }
  // All numbers of the job's accounts, as they are shown.
  std::string Numbers(JobId id) {
    auto job = GetJob(session_, id);
    EXPECT_TRUE(job) << job.error().message;
    std::string text = job->state;
    for (const AccountStatus& a : job->accounts) {
      text += " " + a.account + " " + a.state;
      const Counters& c = a.counters;
      for (const auto n : {c.pages, c.fetched, c.inserted, c.updated, c.unchanged, c.rejected, c.duplicates,
                           c.dead_pages, c.requests, a.planned_tasks, a.finished_tasks})
        text += " " + std::to_string(n);
    }
    return text;
  }
  std::string Count(const std::string& what) { return Text("select count(*) from weir." + what); }
  void Reject(const std::string& task_where, int page, int count) {
    Run("insert into weir.rejects (task_id, page, position, account, reason, body_start) select id, " +
        std::to_string(page) + ", i, account, 'r', '' from weir.tasks, generate_series(1, " +
        std::to_string(count) + ") i where " + task_where);
    Run("update weir.tasks set rejected = rejected + " + std::to_string(count) + ", fetched = fetched + " +
        std::to_string(count) + " where " + task_where);
  }

  Pruned sum_;
};

TEST_F(RetentionTest, DoneTasksOfAJobThatEndedGoAndItsNumbersStay) {
  const JobId id = Read(5);
  const std::string before = Numbers(id);
  EXPECT_EQ(before, "succeeded alice succeeded 5 25 10 5 5 0 5 0 10 5 5");
  Age(id, 8);
  EXPECT_THAT(Due(Part::kTasks, kWeek), ElementsAre(id));
  EXPECT_EQ(Prune(id, Part::kTasks, kWeek, 2), 4) << "three batches of six, and the look that finds no more";
  EXPECT_EQ(sum_.tasks, 6);
  EXPECT_EQ(Count("tasks"), "0");
  EXPECT_EQ(Numbers(id), before);
  EXPECT_EQ(ListJobs(session_, 1, false)->front().totals.fetched, 25);
  EXPECT_THAT(Due(Part::kTasks, kWeek), IsEmpty());
  Run("delete from weir.account_sums");
  EXPECT_EQ(Numbers(id), before) << "of a job that ended before sums were stored";
}

TEST_F(RetentionTest, WhatIsYoungerOrOpenIsNotDue) {
  const JobId ended = Read(1);
  Open(Request({"bob"}));
  EXPECT_THAT(Due(Part::kTasks, kWeek), IsEmpty());
  PruneCursor cursor;
  EXPECT_TRUE(PruneJob(session_, ended, Part::kTasks, kWeek, cursor, 10)->busy);
  EXPECT_EQ(Count("tasks"), "3");
}

TEST_F(RetentionTest, AnEndedAccountIsShownFromItsStoredSums) {
  const JobId id = Read(3);
  Run("update weir.tasks set fetched = 1000");
  EXPECT_EQ(GetJob(session_, id)->totals.fetched, 15) << "its tasks are not added up again";
}

TEST_F(RetentionTest, DeadTasksAndThoseWithRejectsAreKeptAsFailures) {
  const JobId id = Read(4, "case lo when 0 then 'dead' else 'done' end");
  Reject("kind = 1 and lo = 1", 0, 5);
  Age(id, 8);
  Prune(id, Part::kTasks, kWeek);
  EXPECT_EQ(Text("select string_agg(kind || ' ' || lo, ',' order by id) from weir.tasks"), "0 0,1 0,1 1");
  Age(id, 90);
  const std::string before = Numbers(id);
  EXPECT_THAT(Due(Part::kFailures, kQuarter), ElementsAre(id));
  Prune(id, Part::kFailures, kQuarter, 2);
  EXPECT_EQ(Count("tasks"), "0");
  EXPECT_EQ(Count("rejects"), "0");
  EXPECT_EQ(sum_.rejects, 5);
  EXPECT_EQ(Numbers(id), before);
  EXPECT_THAT(Due(Part::kFailures, kQuarter), IsEmpty());
}

// A replay that found the task and not the rejects of its page would take the page for read.
TEST_F(RetentionTest, TheRejectsOfADeadTasksPageGoWithIt) {
  const JobId id = Read(2, "case lo when 0 then 'dead' else 'done' end");
  Run("update weir.tasks set page = 7, error_class = 'invalid' where state = 'dead'");
  Reject("state = 'dead'", 6, 3);
  Reject("state = 'dead'", 7, 4);
  Age(id, 91);
  PruneCursor cursor;
  while (!cursor.rejects_done) ASSERT_TRUE(PruneJob(session_, id, Part::kFailures, kQuarter, cursor, 2));
  EXPECT_EQ(Text("select string_agg(distinct page::text, ',') from weir.rejects"), "7");
  EXPECT_EQ(Text("select count(*) from weir.tasks where state = 'dead'"), "1");
  Prune(id, Part::kFailures, kQuarter, 2);
  EXPECT_EQ(Count("rejects"), "0");
  EXPECT_EQ(Text("select count(*) from weir.tasks where state = 'dead'"), "0");
}

TEST_F(RetentionTest, AReplayAfterItsDoneTasksAreGoneEndsAsIfTheyWereThere) {
  const JobId id = Read(4, "case lo when 0 then 'dead' else 'done' end");
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  Age(id, 8);
  Prune(id, Part::kTasks, kWeek);
  ASSERT_TRUE(Replay(session_, {.job = id}, {}));
  EXPECT_EQ(Count("account_sums"), "0");
  EXPECT_EQ(Numbers(id), "running alice running 4 20 8 4 4 0 4 0 8 4 3");
  Run("update weir.tasks set state = 'done', pages = pages + 1, requests = requests + 1 where state = "
      "'planned'");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(Numbers(id), "succeeded alice succeeded 5 20 8 4 4 0 4 0 9 4 4");
  EXPECT_EQ(Count("full_syncs"), "1");
  Age(id, 8);
  EXPECT_THAT(Due(Part::kTasks, kWeek), ElementsAre(id)) << "what has ended once more is old once more";
  Prune(id, Part::kTasks, kWeek);
  EXPECT_EQ(Count("tasks"), "0");
  EXPECT_EQ(Numbers(id), "succeeded alice succeeded 5 20 8 4 4 0 4 0 9 4 4");
}

// The page that fails now is the account's only one that is left: with the gone ones it is partial.
TEST_F(RetentionTest, AnAccountOfWhichDoneTasksAreGoneDoesNotFailByItsLastDeadOne) {
  const JobId id = Read(4, "case lo when 0 then 'dead' else 'done' end");
  Age(id, 8);
  Prune(id, Part::kTasks, kWeek);
  ASSERT_TRUE(Replay(session_, {.job = id}, {}));
  // Nothing came: only that pages were read keeps the account from failing.
  Run("update weir.gone_tasks set fetched = 0");
  Run("update weir.tasks set state = 'dead', fetched = 0 where state = 'planned'");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
}

TEST_F(RetentionTest, WhatIsNotProvenWholeStaysSoWhenItsTaskIsGone) {
  const JobId id =
      Read(3, "case lo when 0 then 'dead' else 'done' end, incomplete = case lo when 1 then 'why' end");
  Age(id, 8);
  Prune(id, Part::kTasks, kWeek);
  ASSERT_TRUE(Replay(session_, {.job = id}, {}));
  Run("update weir.tasks set state = 'done' where state = 'planned'");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->accounts[0].incomplete_reason, "why");
  EXPECT_EQ(Count("full_syncs"), "0");
}

class ExpiredRetentionTest : public RetentionTest {
 protected:
  // Alice's job of four pages, of which two were read when its time was up.
  JobId Expired() {
    const JobId id = Open(Request({"alice"}));
    Plan(id, "alice", 4);
    Run("update weir.tasks set state = 'done', fetched = 5, inserted = 5 where kind = 1 and lo < 2");
    Expire(id);
    EXPECT_EQ(GetJob(session_, id)->state, "expired");
    return id;
  }
};

TEST_F(ExpiredRetentionTest, WhatTheNextRunGoesOnWithIsKeptLikeFailures) {
  const JobId id = Expired();
  Age(id, 89);
  EXPECT_THAT(Due(Part::kTasks, kWeek), IsEmpty());
  const JobId next = Open(Request({"alice"}));
  EXPECT_EQ(Text("select string_agg(lo::text, ',' order by lo) from weir.tasks where job_id = " + Id(next)),
            "2,3");
  EXPECT_THAT(Due(Part::kTasks, kWeek), ElementsAre(id)) << "it was taken over";
  Prune(id, Part::kTasks, kWeek);
  EXPECT_EQ(Text("select count(*) from weir.tasks where kind = 1 and job_id = " + Id(id)), "0");
}

// What is left of its unfinished pages would pass for all of them.
TEST_F(ExpiredRetentionTest, AnExpiredJobOfWhichTasksAreGoneIsBegunAnew) {
  const JobId id = Expired();
  Age(id, 91);
  PruneCursor cursor{.rejects_done = true};
  ASSERT_EQ(PruneJob(session_, id, Part::kFailures, kQuarter, cursor, 4)->tasks, 2)
      << "the plan's and one of two";
  const JobId next = Open(Request({"alice"}));
  EXPECT_EQ(Text("select string_agg(kind || ' ' || key, ',') from weir.tasks where job_id = " + Id(next)),
            "0 ");
  EXPECT_EQ(Text("select planned from weir.job_accounts where job_id = " + Id(next)), "f");
  EXPECT_EQ(Text("select continues from weir.jobs where id = " + Id(next)), "");
}

TEST_F(ExpiredRetentionTest, AReplayDoesNotMakeItOneToGoOnWithAgain) {
  const JobId id = Expired();
  Run("update weir.tasks set state = 'dead' where lo = 3");
  Age(id, 91);
  PruneCursor cursor{.rejects_done = true};
  ASSERT_EQ(PruneJob(session_, id, Part::kFailures, kQuarter, cursor, 4)->tasks, 2);
  ASSERT_TRUE(Replay(session_, {.job = id}, {}));
  Expire(id);
  const JobId next = Open(Request({"alice"}));
  EXPECT_EQ(Text("select string_agg(kind || ' ' || key, ',') from weir.tasks where job_id = " + Id(next)),
            "0 ");
}

TEST_F(ExpiredRetentionTest, WhoGoesOnWithItHoldsIt) {
  const JobId id = Expired();
  Age(id, 91);
  pg::Session other(options_);
  ASSERT_TRUE(other.Script("begin; select 1 from weir.jobs where id = " + Id(id) + " for key share"));
  PruneCursor cursor;
  EXPECT_TRUE(PruneJob(session_, id, Part::kFailures, kQuarter, cursor, 10)->busy);
  ASSERT_TRUE(other.Script("rollback"));
  EXPECT_FALSE(PruneJob(session_, id, Part::kFailures, kQuarter, cursor, 10)->busy);
}

TEST_F(RetentionTest, AJobGoesWithAllThatIsLeftOfIt) {
  const JobId id = Read(5, "case lo when 0 then 'dead' else 'done' end");
  Reject("kind = 1 and lo = 1", 0, 5);
  Run("insert into weir.sweeps (source, stream, account, job_id, automatic, began_at, live, to_mark, digest, "
      "met) "
      "select source, stream, 'alice', id, true, now(), 0, 0, '', 0 from weir.jobs");
  const JobId younger = Read(1);
  Run("update weir.jobs set continues = " + Id(id) + " where id = " + Id(younger));
  Age(id, 91);
  EXPECT_THAT(Due(Part::kJobs, kQuarter), ElementsAre(id));
  Prune(id, Part::kJobs, kQuarter, 2);
  EXPECT_EQ(sum_.jobs, 1);
  EXPECT_EQ(GetJob(session_, id).error().error_class, ErrorClass::kNotFound);
  EXPECT_EQ(Count("jobs"), "1");
  EXPECT_EQ(Count("job_accounts"), "1");
  EXPECT_EQ(Count("account_sums"), "1");
  EXPECT_EQ(Count("gone_tasks"), "0");
  EXPECT_EQ(Count("sweeps"), "0");
  EXPECT_EQ(Count("tasks"), "2");
  EXPECT_EQ(GetJob(session_, younger)->state, "succeeded");
}

TEST_F(RetentionTest, ADeadLetterThatIsNotSentKeepsItsTaskAndJob) {
  const JobId id = Read(2, "case lo when 0 then 'dead' else 'done' end");
  Run("update weir.tasks set letter_due = true where state = 'dead'");
  Age(id, 91);
  PruneCursor cursor;
  Pruned pruned;
  while (!pruned.done && !pruned.busy) pruned = *PruneJob(session_, id, Part::kJobs, kQuarter, cursor, 10);
  EXPECT_TRUE(pruned.busy);
  EXPECT_EQ(Count("tasks"), "1");
  cursor = {};
  pruned = {};
  while (!pruned.done && !pruned.busy)
    pruned = *PruneJob(session_, id, Part::kFailures, kQuarter, cursor, 10);
  EXPECT_TRUE(pruned.busy);
  Run("update weir.tasks set letter_due = false");
  Prune(id, Part::kJobs, kQuarter);
  EXPECT_EQ(Count("jobs"), "0");
}

TEST_F(RetentionTest, AJobThatAHeldSweepLooksAtIsKept) {
  const JobId id = Read(1);
  const JobId newer = Read(1);
  Age(id, 91);
  Run("update weir.job_accounts set sweep = 'held' where job_id = " + Id(newer));
  EXPECT_THAT(Due(Part::kJobs, kQuarter), IsEmpty());
  Run("update weir.job_accounts set sweep = 'spent'");
  EXPECT_THAT(Due(Part::kJobs, kQuarter), ElementsAre(id));
}

TEST_F(ExpiredRetentionTest, AJobIsKeptWhileAnOpenOneGoesOnWithItsChain) {
  const JobId first = Expired();
  const JobId second = Open(Request({"alice"}));
  Expire(second);
  const JobId third = Open(Request({"alice"}));
  Age(first, 91);
  Age(second, 91);
  EXPECT_THAT(Due(Part::kJobs, kQuarter), IsEmpty());
  Run("update weir.tasks set state = 'done' where job_id = " + Id(third));
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(Due(Part::kJobs, kQuarter).size(), 2u);
}

TEST_F(RetentionTest, TheFullSyncThatTheNextOneIsComparedWithIsKept) {
  const JobId id = Read(1);
  Run("update weir.job_accounts set looked_again = true");
  Age(id, 91);
  EXPECT_THAT(Due(Part::kJobs, kQuarter), IsEmpty());
  const JobId newer = Open(Request({"alice"}));
  Run("update weir.job_accounts set mode = 'full' where job_id = " + Id(newer));
  Run("update weir.tasks set state = 'done' where job_id = " + Id(newer));
  Run("update weir.job_accounts set planned = true");
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_THAT(Due(Part::kJobs, kQuarter), ElementsAre(id));
}

TEST_F(RetentionTest, GarbageGoesOnceItsLetterIsSent) {
  Run("insert into weir.garbage (topic, partition, kafka_offset, reason, body_start, created_at, letter_due) "
      "select 't', 0, i, 'r', '', now() - i * interval '1 day', i = 95 from generate_series(85, 99) i");
  std::string after;
  EXPECT_EQ(PruneGarbage(session_, kQuarter, after, 4).value(), 4);
  EXPECT_EQ(PruneGarbage(session_, kQuarter, after, 4).value(), 4);
  EXPECT_EQ(PruneGarbage(session_, kQuarter, after, 4).value(), 1);
  EXPECT_EQ(Text("select string_agg(kafka_offset::text, ',' order by kafka_offset) from weir.garbage"),
            "85,86,87,88,89,95");
}

TEST_F(RetentionTest, LanesThatNobodyNeedsGo) {
  JobRequest request = Request({"alice"});
  request.accounts[0].meter = "used";
  Open(request);
  Run("insert into weir.lanes (meter, lane) values ('old', 0), ('held', 0), ('leased', 0), ('new', 0)");
  Run("update weir.lanes set updated_at = now() - interval '91 days' where meter <> 'new'");
  Run("update weir.lanes set holder = 'w', lease_until = now() + interval '5 s' where meter = 'leased'");
  pg::Session other(options_);
  ASSERT_TRUE(other.Script("begin; select 1 from weir.lanes where meter = 'held' for key share"));
  EXPECT_EQ(PruneLanes(session_, kQuarter, 10).value(), 1);
  EXPECT_EQ(Text("select string_agg(meter, ',' order by meter) from weir.lanes"), "held,leased,new,used");
}

TEST_F(RetentionTest, WorkersThatAreLongGoneAreForgotten) {
  Run("insert into weir.workers (id, host, pid, seen_at) values ('a', 'h', 1, now() - interval '23 hours'), "
      "('b', 'h', 2, now() - interval '25 hours')");
  EXPECT_EQ(PruneWorkers(session_, 10).value(), 1);
  EXPECT_EQ(Text("select id from weir.workers"), "a");
}

TEST_F(RetentionTest, NotesThatNoSweepRestsOnAreForgottenInSlices) {
  const std::string note =
      "insert into weir.seen (source, stream, account, job_id, hashes, noted_at) select 'chess', 'games', ";
  Run(note + "'alice', 1, '{}', now() - i * interval '1 s' from generate_series(1, 2500) i");
  Run(note + "'bob', 1, '{}', now() - interval '1 hour' from generate_series(1, 10) i");
  JobRequest request = Request({"bob"});
  request.mode = JobMode::kFull;
  Open(request);
  Run(note + "'bob', 1, '{}', now() + interval '1 s' from generate_series(1, 3) i");
  EXPECT_EQ(ForgetSeen(session_).value(), 2'510);
  EXPECT_EQ(Text("select string_agg(account, ',') from weir.seen"), "bob,bob,bob");
  EXPECT_EQ(ForgetSeen(session_).value(), 0);
}

TEST_F(RetentionTest, TheMigrationCanBeTakenBack) {
  const JobId id = Read(3);
  Age(id, 8);
  Prune(id, Part::kTasks, kWeek);
  const auto& all = AllMigrations();
  const auto retention =
      std::find_if(all.begin(), all.end(), [](const auto& m) { return m.name == "retention"; });
  ASSERT_NE(retention, all.end());
  auto down = session_.Script(retention->down);
  ASSERT_TRUE(down) << down.error().message;
  auto up = session_.Script(retention->up);
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_EQ(GetJob(session_, id)->state, "succeeded");
}

}  // namespace
}  // namespace weir::ledger
