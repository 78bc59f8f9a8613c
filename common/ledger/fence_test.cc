// Invariant 2: after a task has left `running`, whichever way, a batch of the former claim writes nothing.
#include <gtest/gtest.h>

#include <functional>

#include "common/ledger/move_account.h"
#include "common/ledger/tasks.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using std::chrono::milliseconds;

class FenceTest : public testing::LedgerFixture {
 protected:
  FenceTest() : job_(Open(Request({"alice"}))) {
    Plan(job_, "alice", 2);
    Run("update weir.tasks set state = 'dispatched', dispatched_at = now() where kind = 1");
    auto claim = ClaimTask(session_, Page(0), {.owner = "zombie"});
    EXPECT_TRUE(claim && claim->task);
    task_ = *claim->task;
  }

  TaskId Page(int lo) {
    return TaskId{
        std::stoll(Text("select id from weir.tasks where kind = 1 and lo = " + std::to_string(lo)))};
  }

  // All that a page's last batch may write: the fence, the guard, a range, a successor, a reject, what was
  // seen and a doubt; with rows to COPY where `copy`.
  Result<void> SendBatch(bool copy) {
    EXPECT_TRUE(PrepareFence(session_));
    PageEnd end;
    end.read = {{0, 10}};
    end.archive = ArchiveState{"2024/01", "etag", "", true};
    end.successors = {NewTask{{SelectorKind::kWindow, 5, 6, ""}, std::nullopt}};
    end.doubt = "a doubt";
    std::string sql = "begin; " + FenceSql(task_, {.fetched = 5, .done = true}) + GuardSql(task_) +
                      RejectsSql(session_, task_, {{0, 0, "id", "bad", "{}"}}) +
                      WatchSql(session_, task_, {"watched"}, {}) + PageEndSql(session_, task_, end);
    std::string rows;
    if (copy) {
      sql += "copy weir.garbage (topic, partition, kafka_offset, reason, body_start) from stdin; ";
      rows = "t\t0\t0\tr\tx\n";
    }
    auto sent = session_.SubmitFenced(sql + "commit", rows);
    if (sent) sent = session_.Await();
    return sent;
  }

  std::string Everything() {
    return Text(
        "select (select string_agg(t::text, '|' order by id) from weir.tasks t) || (select count(*) from "
        "weir.read_ranges) || (select count(*) from weir.archives) || (select count(*) from weir.rejects) || "
        "(select count(*) from weir.watched) || (select count(*) from weir.garbage)");
  }

  void ExpectNothingWritten(const std::string& way) {
    for (const bool copy : {false, true}) {
      const std::string before = Everything();
      auto wrote = SendBatch(copy);
      EXPECT_FALSE(wrote) << way << ", copy " << copy;
      if (!wrote) {
        EXPECT_EQ(wrote.error().error_class, ErrorClass::kFenced) << way << ": " << wrote.error().message;
      }
      EXPECT_EQ(Everything(), before) << way << ", copy " << copy;
    }
  }

  std::int64_t EpochNow() {
    return std::stoll(Text("select epoch from weir.tasks where id = " + std::to_string(task_.id.value)));
  }

  JobId job_;
  ClaimedTask task_;
};

TEST_F(FenceTest, TheOwnersBatchIsWritten) {
  auto wrote = SendBatch(false);
  ASSERT_TRUE(wrote) << wrote.error().message;
  EXPECT_EQ(Text("select count(*) from weir.rejects"), "1");
  EXPECT_EQ(Text("select state from weir.tasks where kind = 1 and lo = 0"), "done");
}

TEST_F(FenceTest, TheOwnersBatchWithRowsIsWritten) {
  auto wrote = SendBatch(true);
  ASSERT_TRUE(wrote) << wrote.error().message;
  EXPECT_EQ(Text("select count(*) from weir.garbage"), "1");
}

// The server may run a batch twice: its answer was lost, and the worker sends it again.
TEST_F(FenceTest, ABatchThatIsSentTwiceIsWrittenOnce) {
  ASSERT_TRUE(SendBatch(false));
  ExpectNothingWritten("done");
}

struct Way {
  std::string name;
  std::function<bool(pg::Session&, const ClaimedTask&)> leave;
};

// Every function that takes a task out of `running`. A new one belongs here.
std::vector<Way> Ways() {
  const auto run = [](pg::Session& session, const std::string& sql) { return session.Exec(sql).has_value(); };
  return {
      {"RequeueLost",
       [run](pg::Session& s, const ClaimedTask&) {
         return run(s, "update weir.tasks set advanced_at = now() - interval '1 h'") &&
                RequeueLost(s, std::chrono::seconds(10)).value_or(0) == 1;
       }},
      {"RequeueOwner",
       [](pg::Session& s, const ClaimedTask&) { return RequeueOwner(s, "zombie", true).has_value(); }},
      {"ParkTask",
       [](pg::Session& s, const ClaimedTask& t) {
         return ParkTask(s, t, milliseconds(0), true, std::nullopt, {}).has_value();
       }},
      {"KillTask",
       [](pg::Session& s, const ClaimedTask& t) {
         return KillTask(s, t, MakeError(ErrorClass::kGone, "gone"), "", "", {}).has_value();
       }},
      {"YieldTask", [](pg::Session& s, const ClaimedTask& t) { return YieldTask(s, t, {}).has_value(); }},
      {"ReturnTasks",
       [](pg::Session& s, const ClaimedTask& t) {
         return ReturnTasks(s, {{t.id, t.epoch}}).has_value();
       }},
      {"CancelJob", [](pg::Session& s, const ClaimedTask& t) { return CancelJob(s, t.job).has_value(); }},
      {"EndJobs",
       [run](pg::Session& s, const ClaimedTask&) {
         return run(s, "update weir.jobs set deadline_at = now() - interval '1 s'") && EndJobs(s).has_value();
       }},
      {"MoveAccount",
       [](pg::Session& s, const ClaimedTask& t) { return MoveAccount(s, t, "other", 1).value_or(false); }},
      {"PauseJob", [](pg::Session& s, const ClaimedTask& t) { return PauseJob(s, t.job).has_value(); }},
      {"HoldPaused",
       [run](pg::Session& s, const ClaimedTask&) {
         return run(s, "update weir.jobs set state = 'paused'") && HoldPaused(s).value_or(0) > 0;
       }},
      {"a claim that finds a suspect",
       [run](pg::Session& s, const ClaimedTask& t) {
         if (!run(s, "update weir.tasks set crashes = 1")) return false;
         auto claim = ClaimTask(s, t.id, {.owner = "next"});
         return claim && claim->kind == ClaimResult::Kind::kSuspect;
       }},
      {"a claim that finds poison",
       [run](pg::Session& s, const ClaimedTask& t) {
         if (!run(s, "update weir.tasks set crashes = 2")) return false;
         auto claim = ClaimTask(s, t.id, {.owner = "next"});
         return claim && claim->kind == ClaimResult::Kind::kPoison;
       }},
  };
}

class EveryWayOut : public FenceTest, public ::testing::WithParamInterface<std::size_t> {};

TEST_P(EveryWayOut, FencesTheFormerClaim) {
  const Way way = Ways()[GetParam()];
  ASSERT_TRUE(way.leave(session_, task_)) << way.name;
  EXPECT_GT(EpochNow(), task_.epoch.value) << way.name << " leaves the epoch as it was";
  ExpectNothingWritten(way.name);
  // Nor may it match the row once somebody else runs it.
  auto next = ClaimTask(session_, task_.id, {.owner = "next", .alone = true});
  ASSERT_TRUE(next);
  ExpectNothingWritten(way.name + ", claimed again");
}

INSTANTIATE_TEST_SUITE_P(FenceTest, EveryWayOut, ::testing::Range<std::size_t>(0, Ways().size()));

// The guard looks at what the fence did: also a row that left `running` without a new epoch does not pass it.
TEST_F(FenceTest, TheGuardDoesNotTrustTheEpoch) {
  Run("update weir.tasks set state = 'planned', owner = null where id = " + std::to_string(task_.id.value));
  ASSERT_EQ(EpochNow(), task_.epoch.value);
  ExpectNothingWritten("an UPDATE by hand");
}

// A batch that is committed shows that the page does not kill its worker.
TEST_F(FenceTest, ACommittedBatchClearsTheCrashes) {
  Run("update weir.tasks set crashes = 2 where id = " + std::to_string(task_.id.value));
  ASSERT_TRUE(PrepareFence(session_));
  auto wrote = session_.SubmitFenced("begin; " + FenceSql(task_, {.fetched = 5}) + "commit", "");
  if (wrote) wrote = session_.Await();
  ASSERT_TRUE(wrote) << wrote.error().message;
  EXPECT_EQ(Text("select crashes from weir.tasks where kind = 1 and lo = 0"), "0");
}

}  // namespace
}  // namespace weir::ledger
