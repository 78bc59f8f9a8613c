#include "common/ledger/totals_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A full sync of alice that read all it was planned to read, and met `met` different records.
class TotalsCheckTest : public testing::LedgerFixture {
 protected:
  JobId Read(int met, const std::string& before, const std::string& after) {
    const JobId id = Open(Request({"alice"}));
    Plan(id, "alice", 2);
    Run("insert into weir.tasks (job_id, account, meter, lane, kind, key) values (" + Id(id) +
        ", 'alice', 'm', 0, 0, 'last question')");
    Run("update weir.tasks set state = 'done' where job_id = " + Id(id));
    Run("update weir.job_accounts set total_before = " + before + ", total_after = " + after +
        ", mode = 'full'" + " where job_id = " + Id(id));
    Note(id, met);
    return id;
  }
  void Note(JobId id, int met) {
    Run("insert into weir.seen (source, stream, account, job_id, hashes) select source, stream, 'alice', id, "
        "array(select generate_series(1, " +
        std::to_string(met) + ")) from weir.jobs where id = " + Id(id));
  }
  std::string Planned() { return Text("select count(*) from weir.tasks where state = 'planned'"); }
};

TEST_F(TotalsCheckTest, WhatIsAsMuchAsTheLastTotalIsWhole) {
  for (const auto& [before, after] :
       {std::pair("100", "100"), {"130", "100"}, {"130", "99"}, {"70", "100"}, {"100", "null"}, {"7", "0"}}) {
    Run("truncate weir.jobs, weir.seen, weir.full_syncs cascade");
    const JobId id = Read(100, before, after);
    Note(id, 60);  // met twice, and counted once
    ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id}) << before << " " << after;
    const auto job = GetJob(session_, id);
    EXPECT_EQ(job->state, "succeeded") << before << " " << after;
    EXPECT_EQ(job->accounts[0].met, 100);
    EXPECT_EQ(job->accounts[0].incomplete_reason, "");
  }
}

TEST_F(TotalsCheckTest, WhatFallsShortIsLookedAtOnceMoreAndThenPartial) {
  const JobId id = Read(99, "100", "101");
  EXPECT_TRUE(EndJobs(session_)->empty());
  EXPECT_FALSE(GetJob(session_, id)->accounts[0].Ended());
  EXPECT_EQ(Text("select key from weir.tasks where state = 'planned'"), "last question");
  EXPECT_TRUE(EndJobs(session_)->empty()) << "while it is asked";
  EXPECT_EQ(Planned(), "1");
  Run("update weir.tasks set state = 'done'");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  const auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "partial");
  EXPECT_EQ(job->accounts[0].state, "partial");
  EXPECT_THAT(job->accounts[0].incomplete_reason,
              HasSubstr("99 different records came, and the upstream told of 100 at the beginning and 101"));
  EXPECT_EQ(job->accounts[0].sweep, "");
  EXPECT_EQ(Text("select count(*) from weir.full_syncs"), "0") << "the next sync is full again";
}

// Records were deleted before they were read, and others have come: the second look tells.
TEST_F(TotalsCheckTest, ASecondLookThatExplainsTheShortfallIsBelieved) {
  const JobId id = Read(99, "100", "100");
  EXPECT_TRUE(EndJobs(session_)->empty());
  Run("update weir.tasks set state = 'done'");
  Run("update weir.job_accounts set total_after = 99");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "succeeded");
}

// As many were created and read as never came.
TEST_F(TotalsCheckTest, GrowthHidesNoLoss) {
  const JobId id = Read(100, "100", "130");
  EXPECT_TRUE(EndJobs(session_)->empty()) << "it is looked at again";
  Run("update weir.tasks set state = 'done'");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  EXPECT_THAT(GetJob(session_, id)->accounts[0].incomplete_reason,
              HasSubstr("100 different records came, and the upstream told of 100 at the beginning and 130"));
  EXPECT_EQ(Text("select count(*) from weir.full_syncs"), "0");
}

// Whoever hides records hides the same ones again, and an incremental sync would never read them.
TEST_F(TotalsCheckTest, TheSameShortfallAsInTheFullSyncBeforeIsPartialToo) {
  const auto twice = [&](int met, const std::string& before, const std::string& after) {
    const JobId id = Read(met, before, after);
    EXPECT_TRUE(EndJobs(session_)->empty());
    Run("update weir.tasks set state = 'done' where state = 'planned'");
    EXPECT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
    const auto job = GetJob(session_, id);
    Run("truncate weir.seen");
    return job->accounts[0];
  };
  EXPECT_EQ(twice(97, "100", "101").state, "partial");
  EXPECT_EQ(twice(98, "100", "101").state, "partial") << "by another number";
  const char* as_before = "; 3 are missing, as in the full sync before";
  for (int i = 0; i < 2; ++i) {
    const auto same = twice(108, "110", "111");
    EXPECT_EQ(same.state, "partial");
    EXPECT_THAT(same.incomplete_reason, HasSubstr(as_before));
    EXPECT_EQ(same.sweep, "");
    EXPECT_EQ(Text("select count(*) from weir.full_syncs"), "0") << "the next sync is full again";
  }
  EXPECT_THAT(twice(116, "120", "120").incomplete_reason, Not(HasSubstr("as in the full sync before")));
  // One whose pages were not all read tells nothing.
  Run("update weir.tasks set state = 'dead', error_class = 'transient' where kind = 1");
  EXPECT_THAT(twice(116, "120", "120").incomplete_reason, Not(HasSubstr("as in the full sync before")));
}

TEST_F(TotalsCheckTest, ARejectedRecordWithoutAnIdHasComeToo) {
  const JobId id = Read(98, "100", "100");
  const auto reject = [&](const std::string& position, const std::string& record) {
    Run("insert into weir.rejects (task_id, page, position, account, record_id, reason, body_start) select "
        "min(id), 0, " +
        position + ", 'alice', " + record + ", 'no id', '' from weir.tasks where job_id = " + Id(id));
  };
  reject("1", "null");
  reject("2", "'known'");
  EXPECT_TRUE(EndJobs(session_)->empty()) << "one is missing: it is looked at again";
  reject("3", "null");
  Run("update weir.tasks set state = 'done'");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "succeeded");
}

TEST_F(TotalsCheckTest, WithoutALastQuestionThereIsNoSecondLook) {
  const JobId id = Read(99, "100", "100");
  Run("delete from weir.tasks where key = 'last question'");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
}

TEST_F(TotalsCheckTest, TotalsSayNothingOfALimitAChangeOrAPageThatFailed) {
  JobId id = Read(9, "100", "100");
  Run("update weir.jobs set record_limit = 9");
  EXPECT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "succeeded");
  id = Read(9, "100", "100");
  Run("update weir.job_accounts set mode = 'incremental' where job_id = " + Id(id));
  EXPECT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "succeeded");
  id = Read(9, "100", "100");
  Run("update weir.job_accounts set mode = 'full' where job_id = " + Id(id));
  Run("update weir.tasks set state = 'dead', error_class = 'invalid' where kind = 1 and lo = 0");
  EXPECT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  EXPECT_EQ(GetJob(session_, id)->accounts[0].incomplete_reason, "");
}

TEST_F(TotalsCheckTest, ATaskThatIsIncompleteMakesItsAccountPartial) {
  const JobId id = Read(100, "100", "100");
  Run("update weir.tasks set incomplete = 'a page told no place to go on from' where kind = 1 and lo = 0");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  const auto job = GetJob(session_, id);
  EXPECT_EQ(job->state, "partial");
  EXPECT_EQ(job->accounts[0].incomplete_reason, "a page told no place to go on from");
  EXPECT_EQ(Text("select count(*) from weir.full_syncs"), "0");
}

// What an expired job found incomplete stays so where another goes on with it.
TEST_F(TotalsCheckTest, TheReasonGoesWithAnExpiredJobsTasks) {
  const JobId first = Read(100, "100", "100");
  Run("update weir.tasks set incomplete = 'hidden' where kind = 1 and lo = 0");
  Run("update weir.tasks set state = 'planned' where kind = 1 and lo = 1");
  Expire(first);
  const JobId second = Open(Request({"alice"}));
  Run("update weir.tasks set state = 'done' where job_id = " + Id(second));
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{second});
  EXPECT_EQ(GetJob(session_, second)->state, "partial");
  EXPECT_EQ(GetJob(session_, second)->accounts[0].incomplete_reason, "hidden");
  // It has nothing left to go on with: the next one reads all anew.
  Run("update weir.jobs set state = 'expired' where id = " + Id(second));
  const JobId third = Open(Request({"alice"}));
  EXPECT_EQ(Text("select count(*) from weir.tasks where kind = 0 and key = '' and job_id = " + Id(third)),
            "1");
}

// The last question of a plan that is whole is a page like another.
TEST_F(TotalsCheckTest, ADeadLastQuestionMakesThePlanPartialNotFailed) {
  const JobId id = Read(100, "100", "100");
  Run("update weir.tasks set state = 'dead', error_class = 'transient', error_message = 'x' where key <> ''");
  Run("update weir.job_accounts set planned = true");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  Run("update weir.jobs set state = 'running'");
  Run("update weir.job_accounts set state = 'running', planned = false");
  ASSERT_EQ(EndJobs(session_).value(), std::vector<JobId>{id});
  EXPECT_EQ(GetJob(session_, id)->state, "failed") << "a plan that is not whole";
}

}  // namespace
}  // namespace weir::ledger
