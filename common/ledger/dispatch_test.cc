#include "common/ledger/dispatch.h"

#include <gtest/gtest.h>

#include "common/ledger/tasks.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class DispatchTest : public testing::LedgerFixture {
 protected:
  // Takes, marks, and tells what was taken: "job/lo" a task, in order.
  std::string Dispatch(const DispatchLimits& limits = {}) {
    auto ready = TakeReady(session_, limits);
    EXPECT_TRUE(ready) << (ready ? "" : ready.error().message);
    if (!ready) return "error";
    std::string text;
    std::vector<SentTask> sent;
    for (const ReadyTask& task : *ready) {
      text +=
          (text.empty() ? "" : " ") + std::to_string(task.job.value) + "/" + std::to_string(task.selector.lo);
      sent.push_back({task.id, task.epoch});
    }
    EXPECT_EQ(MarkDispatched(session_, sent).value(), static_cast<std::int64_t>(sent.size()));
    return text;
  }
  // A job of one account whose plan is `tasks` pages.
  JobId Planned(const std::string& account, int tasks, const std::string& priority = "bulk") {
    JobRequest request = Request({account});
    request.priority = priority;
    const JobId id = Open(request);
    Plan(id, account, tasks);
    return id;
  }
  void FinishOldest() {
    Run("update weir.tasks set state = 'done' where id = (select id from weir.tasks where state = "
        "'dispatched' "
        "order by dispatched_at, id limit 1)");
  }
  std::string Job(JobId id, int lo) { return Id(id) + "/" + std::to_string(lo); }
};

TEST_F(DispatchTest, AMessageSaysWhatTheTaskIs) {
  const JobId id = Open(Request({"alice"}));
  auto ready = TakeReady(session_, {});
  ASSERT_TRUE(ready) << ready.error().message;
  ASSERT_EQ(ready->size(), 1u);
  const ReadyTask& task = ready->front();
  EXPECT_EQ(task.job, id);
  EXPECT_EQ(task.lane, (LaneId{"m", 0}));
  EXPECT_EQ(task.source, "chess");
  EXPECT_EQ(task.stream, "games");
  EXPECT_EQ(task.account, "alice");
  EXPECT_EQ(task.selector.kind, SelectorKind::kDiscover);
  EXPECT_FALSE(task.interactive);
  EXPECT_EQ(task.traceparent.size(), 55u);
}

TEST_F(DispatchTest, AnUnknownLaneGetsTheLeastWindowAndNoMoreUntilOneEnds) {
  const JobId id = Planned("alice", 10);
  EXPECT_EQ(Dispatch(), Job(id, 0) + " " + Job(id, 1));
  EXPECT_EQ(Dispatch(), "");
  FinishOldest();
  EXPECT_EQ(Dispatch(), Job(id, 2));
}

TEST_F(DispatchTest, TheWindowIsTimeOverTheTasksAverage) {
  Planned("alice", 1000);
  Run("update weir.lanes set task_ms = 100");
  EXPECT_EQ(TakeReady(session_, {})->size(), 15u);
  Run("update weir.lanes set task_ms = 0.001");
  EXPECT_EQ(TakeReady(session_, {})->size(), 256u);
  Run("update weir.lanes set task_ms = 60000");
  EXPECT_EQ(TakeReady(session_, {})->size(), 2u);
}

TEST_F(DispatchTest, JobsOnALaneTakeTurns) {
  const JobId a = Planned("a", 10), b = Planned("b", 10), c = Planned("c", 10);
  std::string sent = Dispatch();
  for (int i = 0; i < 4; ++i) {
    FinishOldest();
    sent += " " + Dispatch();
  }
  EXPECT_EQ(sent, Job(a, 0) + " " + Job(b, 0) + " " + Job(c, 0) + " " + Job(a, 1) + " " + Job(b, 1) + " " +
                      Job(c, 1));
}

TEST_F(DispatchTest, InteractiveJobsGoFirst) {
  Planned("a", 10);
  const JobId urgent = Planned("b", 3, "interactive");
  auto ready = TakeReady(session_, {});
  ASSERT_EQ(ready->size(), 2u);
  EXPECT_TRUE((*ready)[0].interactive);
  EXPECT_EQ(Dispatch(), Job(urgent, 0) + " " + Job(urgent, 1));
}

// What a user waits for does not wait for room: the worker takes it before the bulk tasks that were sent.
TEST_F(DispatchTest, InteractiveJobsOvertakeBulkTasksThatAreOut) {
  const JobId bulk = Planned("a", 10);
  EXPECT_EQ(Dispatch(), Job(bulk, 0) + " " + Job(bulk, 1));
  const JobId urgent = Planned("b", 3, "interactive");
  EXPECT_EQ(Dispatch(), Job(urgent, 0) + " " + Job(urgent, 1));
  EXPECT_EQ(Dispatch(), "");
  // Bulk has its turn again when all that is out leaves room.
  Run("update weir.tasks set state = 'done' where state = 'dispatched' and job_id = " + Id(urgent));
  EXPECT_EQ(Dispatch(), Job(urgent, 2));
  Run("update weir.tasks set state = 'done' where state = 'dispatched'");
  EXPECT_EQ(Dispatch(), Job(bulk, 2) + " " + Job(bulk, 3));
}

TEST_F(DispatchTest, AJobThatSomeoneWaitsForBecomesInteractive) {
  const JobId job = Planned("a", 4);
  EXPECT_FALSE(TakeReady(session_, {})->front().interactive);
  JobRequest again = Request({"a"});
  again.priority = "interactive";
  EXPECT_EQ(Open(again), job);
  EXPECT_TRUE(TakeReady(session_, {})->front().interactive);
  again.priority = "bulk";
  EXPECT_EQ(Open(again), job);
  EXPECT_EQ(GetJob(session_, job)->priority, "interactive");
}

TEST_F(DispatchTest, ParkedTasksAreSentWhenDue) {
  const JobId id = Planned("a", 2);
  Run("update weir.tasks set state = 'parked', not_before = now() + interval '1 h' where kind = 1 and lo = "
      "0");
  EXPECT_EQ(Dispatch(), Job(id, 1));
  Run("update weir.tasks set not_before = now() - interval '1 s' where kind = 1 and lo = 0");
  EXPECT_EQ(Dispatch(), Job(id, 0));
}

TEST_F(DispatchTest, ALaneThatWaitsLongGetsNothing) {
  const JobId id = Planned("a", 2);
  Run("update weir.lanes set not_before = now() + interval '60 s'");
  EXPECT_EQ(Dispatch(), "");
  Run("update weir.lanes set not_before = now() + interval '3 s'");
  EXPECT_EQ(Dispatch(), Job(id, 0) + " " + Job(id, 1));
}

TEST_F(DispatchTest, PausedAndEndedJobsGetNothing) {
  const JobId id = Planned("a", 2);
  Run("update weir.jobs set state = 'paused'");
  EXPECT_EQ(Dispatch(), "");
  Run("update weir.jobs set state = 'running'");
  ASSERT_TRUE(CancelJob(session_, id));
  EXPECT_EQ(Dispatch(), "");
}

TEST_F(DispatchTest, ATaskThatWasFasterThanTheMarkStaysAsItIs) {
  Planned("a", 3);
  auto ready = TakeReady(session_, {});
  ASSERT_EQ(ready->size(), 2u);
  Run("update weir.tasks set state = 'running', epoch = 1 where id = " +
      std::to_string((*ready)[0].id.value));
  // Parked by the claim that the message led to, and due again.
  Run("update weir.tasks set state = 'parked', epoch = 1, not_before = now() - interval '1 s' where id = " +
      std::to_string((*ready)[1].id.value));
  std::vector<SentTask> sent;
  for (const ReadyTask& task : *ready) sent.push_back({task.id, task.epoch});
  EXPECT_EQ(MarkDispatched(session_, sent).value(), 0);
  EXPECT_EQ(Text("select string_agg(state, ' ' order by id) from weir.tasks where kind = 1"),
            "running parked planned");
}

// A worker can give a message back before the one who sent it has written that down.
TEST_F(DispatchTest, ATaskThatCameBackBeforeTheMarkIsSentAgain) {
  const JobId id = Planned("a", 1);
  auto ready = TakeReady(session_, {});
  ASSERT_EQ(ready->size(), 1u);
  ASSERT_TRUE(ReturnTasks(session_, {{(*ready)[0].id}}));
  EXPECT_EQ(MarkDispatched(session_, {{(*ready)[0].id, (*ready)[0].epoch}}).value(), 0);
  EXPECT_EQ(Dispatch(), Job(id, 0));
}

// What the database did not hear of is given back when it is well again; another's claim is not touched.
TEST_F(DispatchTest, AClaimThatCouldNotBeEndedIsGivenBackByItsEpoch) {
  Planned("a", 1);
  auto ready = TakeReady(session_, {});
  ASSERT_EQ(ready->size(), 1u);
  const TaskId task = (*ready)[0].id;
  Run("update weir.tasks set state = 'running', owner = 'w', epoch = 7 where id = " +
      std::to_string(task.value));
  for (const Epoch other : {Epoch{}, Epoch{6}}) {
    ASSERT_TRUE(ReturnTasks(session_, {{task, other}}));
    EXPECT_EQ(Text("select state || epoch from weir.tasks where kind = 1"), "running7");
  }
  ASSERT_TRUE(ReturnTasks(session_, {{task, Epoch{7}}}));
  EXPECT_EQ(Text("select state || epoch || coalesce(owner, '-') || crashes from weir.tasks where kind = 1"),
            "planned8-0");
}

// Each row: what the ledger holds of one sent task, and whether it is lost. `idle` is 10 s.
class RequeueTest : public DispatchTest {
 protected:
  void SetUp() override {
    DispatchTest::SetUp();
    Planned("a", 2);
    Run("insert into weir.workers (id, host, pid) values ('w', 'h', 1)");
  }
  std::int64_t Requeued() {
    auto count = RequeueLost(session_, seconds(10));
    EXPECT_TRUE(count) << (count ? "" : count.error().message);
    return count.value_or(-1);
  }
  void Lane(const std::string& holder, int lease_left_s, int saved_ago_s = 100) {
    Run("update weir.lanes set holder = '" + holder + "', lease_until = now() + interval '" +
        std::to_string(lease_left_s) + " s', updated_at = now() - interval '" + std::to_string(saved_ago_s) +
        " s'");
  }
  void Running(const std::string& owner, int advanced_ago_s) {
    Run("update weir.tasks set state = 'running', epoch = 1, owner = '" + owner +
        "', advanced_at = now() - interval '" + std::to_string(advanced_ago_s) +
        " s' where kind = 1 and lo = 0");
  }
  void Sent(int ago_s, int dispatches = 1) {
    Run("update weir.tasks set state = 'dispatched', dispatches = " + std::to_string(dispatches) +
        ", dispatched_at = now() - interval '" + std::to_string(ago_s) + " s' where kind = 1 and lo = 1");
  }
};

// A crash of the database took back what the owner was told is committed: it works on the task no more.
TEST_F(RequeueTest, WhatItsLivingOwnerHasLetGoOfGoesBackAtOnceAndIsNoCrash) {
  Running("w", 3);
  Lane("w", 3);
  Run("update weir.workers set holding = array(select id from weir.tasks where state = 'running'), "
      "holding_at = now()");
  EXPECT_EQ(Requeued(), 0);
  Run("update weir.workers set holding = '{}', holding_at = now() - interval '4 s'");
  EXPECT_EQ(Requeued(), 0) << "claimed after the worker said what it holds";
  Run("update weir.workers set holding_at = now()");
  EXPECT_EQ(Requeued(), 1);
  EXPECT_EQ(Text("select state || crashes from weir.tasks where kind = 1 and lo = 0"), "planned0");
}

TEST_F(RequeueTest, ARunningTaskIsLeftToTheHolderOfItsLane) {
  Running("w", 600);
  Sent(600);
  Lane("w", 3);
  EXPECT_EQ(Requeued(), 0);
  Running("w", 3600);  // forgotten; what waits behind it waits for its lane's next sign of life
  EXPECT_EQ(Requeued(), 1);
}

TEST_F(RequeueTest, ARunningTaskWithoutALeaseIsLostAfterAWhile) {
  Running("w", 5);
  Lane("w", -3);
  EXPECT_EQ(Requeued(), 0);
  Running("w", 11);
  EXPECT_EQ(Requeued(), 1);
  EXPECT_EQ(Text("select state || crashes from weir.tasks where kind = 1 and lo = 0"), "planned1");
  Running("w", 11);
  Lane("other", 3);
  EXPECT_EQ(Requeued(), 1);
}

TEST_F(RequeueTest, AMessageThatNobodyReadIsSentAgain) {
  Sent(9);
  EXPECT_EQ(Requeued(), 0);
  Sent(11);
  EXPECT_EQ(Requeued(), 1);
  EXPECT_EQ(Text("select crashes from weir.tasks where kind = 1 and lo = 1"), "0");
}

TEST_F(RequeueTest, EachSendingWaitsTwiceAsLong) {
  Sent(30, 3);
  EXPECT_EQ(Requeued(), 0);
  Sent(41, 3);
  EXPECT_EQ(Requeued(), 1);
}

TEST_F(RequeueTest, WithoutAnyWorkerNothingIsSentAgain) {
  Run("update weir.workers set seen_at = now() - interval '1 h'");
  Sent(600);
  EXPECT_EQ(Requeued(), 0);
}

TEST_F(RequeueTest, BehindARunningTaskAMessageWaits) {
  Running("w", 1);
  Sent(600);
  Lane("w", 3);
  EXPECT_EQ(Requeued(), 0);
}

TEST_F(RequeueTest, OnAHeldLaneAMessageIsLostWhenTheLaneIsQuiet) {
  Sent(600);
  Lane("w", 3, 5);
  EXPECT_EQ(Requeued(), 0);
  Lane("w", 3, 11);
  EXPECT_EQ(Requeued(), 1);
}

TEST_F(RequeueTest, OnAWaitingLaneAMessageWaits) {
  Sent(600);
  Lane("w", 3);
  Run("update weir.lanes set not_before = now() + interval '4 s'");
  EXPECT_EQ(Requeued(), 0);
}

TEST_F(RequeueTest, AKilledWorkersTasksAreBackAtOnceAndCountNoCrash) {
  Running("w", 0);
  EXPECT_EQ(RequeueOwner(session_, "w", false).value(), 1);
  EXPECT_EQ(Text("select state || crashes from weir.tasks where kind = 1 and lo = 0"), "planned0");
}

TEST_F(RequeueTest, ACrashedWorkersTasksAreBackAtOnceAndCountOneCrash) {
  Running("w", 0);
  Sent(0);
  EXPECT_EQ(RequeueOwner(session_, "other", true).value(), 0);
  EXPECT_EQ(RequeueOwner(session_, "w", true).value(), 1);
  EXPECT_EQ(Text("select state || crashes from weir.tasks where kind = 1 and lo = 0"), "planned1");
  EXPECT_EQ(RequeueSent(session_).value(), 1);
}

TEST_F(DispatchTest, NextDueIsTheNearestOfParkedTasksLanesAndDeadlines) {
  Planned("a", 2);
  EXPECT_EQ(NextDue(session_, seconds(30)).value(), seconds(30));
  Run("update weir.jobs set deadline_at = now() + interval '20 s'");
  EXPECT_LE(NextDue(session_, seconds(30)).value(), seconds(20));
  Run("update weir.lanes set not_before = now() + interval '15 s'");  // sent to from 5 s before
  EXPECT_LE(NextDue(session_, seconds(30)).value(), seconds(10));
  Run("update weir.tasks set state = 'parked', not_before = now() + interval '2 s' where kind = 1 and lo = "
      "0");
  const milliseconds due = NextDue(session_, seconds(30)).value();
  EXPECT_LE(due, seconds(2));
  EXPECT_GT(due, milliseconds(500));
  // What is due already waits for room, not for time.
  Run("update weir.tasks set not_before = now() - interval '2 s' where state = 'parked'");
  EXPECT_GT(NextDue(session_, seconds(30)).value(), seconds(5));
}

TEST_F(DispatchTest, AMillionPlannedTasksAreNotSorted) {
  const JobId id = Open(Request({"a", "b"}));
  Run("update weir.tasks set state = 'done'");
  Run("insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi) "
      "select " +
      Id(id) + ", 'a', 'm', 0, 1, i, i + 1 from generate_series(0, 199999) i");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(TakeReady(session_, {})->size(), 2u);
  // Sorting or scanning them takes 100 ms and more each time.
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(1));
}

}  // namespace
}  // namespace weir::ledger
