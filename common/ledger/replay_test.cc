#include <gtest/gtest.h>

#include "common/ledger/failures.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

class ReplayTest : public testing::LedgerFixture {
 protected:
  // A job whose plan is pages 0 (done), 1 (dead: gone), 2 (dead: invalid), ended.
  JobId Ended(const std::string& account = "alice") {
    const JobId id = Open(Request({account}));
    Plan(id, account, 3);
    const std::string of_job = " and job_id = " + Id(id);
    Run("update weir.tasks set state = 'done' where kind = 1 and lo = 0" + of_job);
    Run("update weir.tasks set state = 'dead', error_class = 'gone', attempts = 8, finished_at = now(), "
        "letter_due = true where kind = 1 and lo = 1" +
        of_job);
    Run("update weir.tasks set state = 'dead', error_class = 'invalid', finished_at = now() where kind = 1 "
        "and "
        "lo = 2" +
        of_job);
    EXPECT_TRUE(EndJobs(session_));
    return id;
  }
  std::vector<ReplayCount> Replayed(const FailureFilter& filter, const ReplayOptions& options = {}) {
    auto counts = Replay(session_, filter, options);
    EXPECT_TRUE(counts) << (counts ? "" : counts.error().message);
    return counts.value_or(std::vector<ReplayCount>{});
  }
  std::string States(JobId id) {
    return Text("select string_agg(state, ' ' order by lo) from weir.tasks where kind = 1 and job_id = " +
                Id(id));
  }
};

TEST_F(ReplayTest, ItReopensTheJobOnceAndOnlyWhatIsDead) {
  const JobId id = Ended();
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  auto counts = Replayed({.job = id}, {.dry_run = true});
  ASSERT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts[0].error_class, "gone");
  EXPECT_EQ(counts[0].tasks, 1);
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  EXPECT_EQ(States(id), "done dead dead");
  counts = Replayed({.job = id, .error_class = "gone"});
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(GetJob(session_, id)->state, "running");
  EXPECT_EQ(GetJob(session_, id)->accounts[0].state, "running");
  EXPECT_EQ(States(id), "done planned dead");
  EXPECT_EQ(
      Text("select attempts || coalesce(error_class, '-') || replays || letter_due from weir.tasks where "
           "kind = 1 and lo = 1"),
      "0-1false");
  // Again: nothing is dead of that class.
  EXPECT_TRUE(Replayed({.job = id, .error_class = "gone"}).empty());
  EXPECT_EQ(Text("select replays from weir.tasks where kind = 1 and lo = 1"), "1");
  Run("update weir.tasks set state = 'done' where kind = 1 and lo = 1");
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  EXPECT_EQ(GetJob(session_, id)->accounts[0].error_class, "invalid");
}

// A running task keeps its epoch, a paused job its pause.
TEST_F(ReplayTest, WhileTheJobRunsOnlyTheDeadAreTouched) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 3);
  Run("update weir.tasks set state = 'running', epoch = 4, owner = 'w' where kind = 1 and lo = 0");
  Run("update weir.tasks set state = 'dead', error_class = 'gone' where kind = 1 and lo = 1");
  ASSERT_TRUE(EndJobs(session_));
  EXPECT_EQ(Replayed({.job = id}).front().tasks, 1);
  EXPECT_EQ(States(id), "running planned planned");
  EXPECT_EQ(Text("select epoch || owner from weir.tasks where kind = 1 and lo = 0"), "4w");
  ASSERT_TRUE(PauseJob(session_, id));
  Run("update weir.tasks set state = 'dead', error_class = 'gone' where kind = 1 and lo = 1");
  EXPECT_EQ(Replayed({.job = id}).front().tasks, 1);
  EXPECT_EQ(GetJob(session_, id)->state, "paused");
  EXPECT_EQ(GetJob(session_, id)->accounts[0].state, "paused");
}

TEST_F(ReplayTest, OnePageBySourceAndByTime) {
  const JobId id = Ended();
  const TaskId page{std::stoll(Text("select id from weir.tasks where kind = 1 and lo = 2"))};
  EXPECT_EQ(Replayed({.source = "other"}).size(), 0u);
  EXPECT_EQ(Replayed({.until_ms = 1'000}).size(), 0u);
  EXPECT_EQ(Replayed({.task = page}).front().error_class, "invalid");
  EXPECT_EQ(States(id), "done dead planned");
  EXPECT_EQ(Replayed({.source = "chess", .since_ms = 1'000}).front().tasks, 1);
  EXPECT_EQ(States(id), "done planned planned");
}

TEST_F(ReplayTest, TheLoopGuardLeavesDeadWhatDiedTooOften) {
  const JobId id = Ended();
  Run("update weir.tasks set replays = 5 where kind = 1 and lo = 1");
  auto counts = Replayed({.job = id});
  ASSERT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts[0].guarded, 1);
  EXPECT_EQ(counts[0].tasks, 0);
  EXPECT_EQ(counts[1].tasks, 1);
  EXPECT_EQ(States(id), "done dead planned");
  // Nothing else is dead: refused, with what to do.
  auto refused = Replay(session_, {.job = id}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kConflict);
  EXPECT_NE(refused.error().hint.find("--force"), std::string::npos);
  EXPECT_EQ(Replayed({.job = id}, {.dry_run = true}).front().guarded, 1);
  EXPECT_EQ(Replayed({.job = id}, {.max_replays = 6}).front().tasks, 1);
  Run("update weir.tasks set state = 'dead' where kind = 1 and lo = 1");
  EXPECT_EQ(Replayed({.job = id}, {.force = true}).front().tasks, 1);
  EXPECT_EQ(Text("select replays from weir.tasks where kind = 1 and lo = 1"), "7");
}

TEST_F(ReplayTest, BesideTheSameRunningSyncItIsAConflict) {
  const JobId id = Ended();
  Open(Request({"alice"}));
  EXPECT_EQ(Replay(session_, {.job = id}, {}).error().error_class, ErrorClass::kConflict);
  EXPECT_EQ(GetJob(session_, id)->state, "partial");
  EXPECT_EQ(States(id), "done dead dead");
}

// Over all jobs, one that cannot be reopened holds up no other.
TEST_F(ReplayTest, OfOneSyncOnlyTheNewestJobIsReopened) {
  const JobId older = Ended("alice"), newer = Ended("alice"), other = Ended("bob"), blocked = Ended("carol");
  Open(Request({"carol"}));
  auto counts = Replayed({.error_class = "gone"});
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts[0].tasks, 2);
  EXPECT_EQ(counts[0].superseded, 2);
  EXPECT_EQ(States(older), "done dead dead");
  EXPECT_EQ(States(newer), "done planned dead");
  EXPECT_EQ(States(other), "done planned dead");
  EXPECT_EQ(States(blocked), "done dead dead");
  EXPECT_EQ(GetJob(session_, blocked)->state, "partial");
}

// It may have stored nothing at all: then passing over its records would claim them as read.
TEST_F(ReplayTest, AnInvalidPageThatRejectedRecordsIsReadAgainFromItsStart) {
  const JobId id = Ended();
  for (const char* page : {"1", "2"}) {
    Run(std::string("update weir.tasks set page = 4, position = 3, digest = 9, fetched = 7, inserted = 3, "
                    "rejected = 4 "
                    "where kind = 1 and lo = ") +
        page);
    Run(std::string("insert into weir.rejects select id, p, n, account, null, 'no', '' from weir.tasks, "
                    "(values (3, 0), (4, 0), (4, 1), (4, 2)) as r (p, n) where kind = 1 and lo = ") +
        page);
  }
  EXPECT_EQ(Replayed({.job = id}).size(), 2U);
  const std::string row =
      "select position || ' ' || digest || ' ' || fetched || ' ' || rejected || ' ' || inserted || ' ' || "
      "(select count(*) from weir.rejects r where r.task_id = t.id) from weir.tasks t where kind = 1 and lo "
      "= ";
  EXPECT_EQ(Text(row + "1"), "3 9 7 4 3 4") << "one that is gone goes on where it stood";
  EXPECT_EQ(Text(row + "2"), "0 0 4 1 3 1") << "the rejects of other pages stay";
}

}  // namespace
}  // namespace weir::ledger
