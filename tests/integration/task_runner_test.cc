// What becomes of a task by the worker's clock, which the test moves by hand; a real PostgreSQL and the
// sample upstream.
#include <gtest/gtest.h>

#include <thread>

#include "tests/integration/worker_fixture.h"

namespace weir::testing {
namespace {

using std::chrono::milliseconds;

// Owned by a base, so that it is there before the fixture that is given it.
struct HandClock {
  ManualClock hand{SystemClock().UnixMillis()};
};

class TaskRunnerTest : private HandClock, public WorkerFixture {
 protected:
  TaskRunnerTest() : WorkerFixture(hand) {}
  void SetUp() override {
    ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=900"));
    Open(Request("chesscom", {"hikaru"}));
  }
  void Advance(milliseconds by) { hand.Advance(by); }
  std::int64_t Number(const std::string& sql) { return std::stoll(Text(sql)); }
  std::int64_t Requests() { return Number("select coalesce(sum(requests), 0) from weir.tasks"); }
  // The plan is made, and what it planned is queued.
  void Plan(Worker& worker) {
    Deliver(worker);
    worker.RunOnce();
    worker.finished.TakeAll();
    Advance(milliseconds(10));
    Deliver(worker);
    ASSERT_GE(worker.scheduler.Queued(), 2u);
  }
  void Deliver(Worker& worker) {
    for (const auto& task : Ready()) worker.Deliver(task);
  }
  // Of the page that was begun first.
  std::string First(const std::string& column) {
    return Text("select " + column +
                " from weir.tasks where kind <> 0 and (attempts > 0 or requests > 0) "
                "order by id limit 1");
  }
  void Answer(const std::string& rule) {
    ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/games/2",)" + rule + "}]}"));
  }
  // Nothing is ready until `wait` is over, and then something is.
  void ExpectReadyAfter(Worker& worker, milliseconds wait) {
    Advance(wait - milliseconds(1));
    EXPECT_FALSE(worker.scheduler.TryTake()) << "before " << wait.count() << " ms are over";
    // A little more than that: a lane's slots are not milliseconds.
    Advance(milliseconds(20));
    EXPECT_TRUE(worker.scheduler.TryTake()) << "after " << wait.count() << " ms";
  }
};

TEST_F(TaskRunnerTest, ALaneThatAnotherWorkerHoldsIsAskedForTwiceASecond) {
  Worker worker(this, "a"), other(this, "b");
  const auto ready = Ready();
  ASSERT_TRUE(other.keeper.Ensure(session_, ready.front().lane)->held);
  worker.Deliver(ready.front());
  worker.RunOnce();
  EXPECT_EQ(Requests(), 0);
  EXPECT_EQ(worker.scheduler.Queued(), 1u);
  EXPECT_TRUE(worker.finished.TakeAll().empty()) << "its offset must not be stored";
  ExpectReadyAfter(worker, milliseconds(500));
}

TEST_F(TaskRunnerTest, WhatAnUpstreamAsksForIsWaitedForAndNoLonger) {
  Worker worker(this, "a");
  Plan(worker);
  const auto before = Requests();
  Answer(R"("action":"status","status":429,"retry_after":"3")");
  worker.RunOnce();
  EXPECT_EQ(Requests(), before + 1);
  EXPECT_EQ(First("state"), "parked");
  EXPECT_EQ(First("attempts"), "0") << "a refusal for its pace is no failure of the page";
  ExpectReadyAfter(worker, milliseconds(3'000));
}

TEST_F(TaskRunnerTest, APageThatFailsIsTriedAsOftenAsIsConfigured) {
  config_.max_attempts = 3;
  Worker worker(this, "a");
  Plan(worker);
  while (auto rest = worker.scheduler.TryTake())
    worker.scheduler.Done(rest->lane, rest->delivery.message.task, {});
  const auto before = Requests();
  Text(
      "update weir.tasks set state = 'cancelled', finished_at = now() where kind <> 0 and id > "
      "(select min(id) from weir.tasks where kind <> 0)");
  Answer(R"("action":"status","status":503)");
  for (int turn = 0; turn < 5; ++turn) {
    Text(
        "update weir.tasks set not_before = null, state = 'planned' where kind <> 0 and state in ('parked', "
        "'dispatched')");
    Text("update weir.lanes set not_before = null");
    Advance(milliseconds(60'000));
    ASSERT_TRUE(worker.keeper.RunOnce(session_));
    Deliver(worker);
    if (worker.scheduler.Queued() > 0) worker.RunOnce();
  }
  EXPECT_EQ(Requests() - before, 3);
  EXPECT_EQ(
      Text(
          "select state || ' ' || attempts || ' ' || error_class from weir.tasks where kind <> 0 order by id "
          "limit 1"),
      "dead 3 transient");
}

TEST_F(TaskRunnerTest, AWorkerThatStopsSpendsNoAttemptAndKeepsTheOffset) {
  Worker worker(this, "a");
  Plan(worker);
  const auto queued = worker.scheduler.Queued();
  worker.aborting = true;
  worker.RunOnce();
  EXPECT_EQ(worker.scheduler.Queued(), queued);
  EXPECT_TRUE(worker.finished.TakeAll().empty());
  EXPECT_EQ(Number("select sum(attempts) + sum(crashes) from weir.tasks"), 0);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state = 'running'"), 0);
}

// By the database's clock the lease has hardly begun: only the worker's own counts, and it counts from before
// the lease was asked for.
TEST_F(TaskRunnerTest, ATransferEndsWithItsLease) {
  Worker worker(this, "a");
  Plan(worker);
  Answer(R"("action":"stall","after":100)");
  std::thread runs([&] { worker.RunOnce(); });
  while (upstream_.world().faults.Report().find("\"hits\":1") == std::string::npos &&
         upstream_.world().faults.Report().find("\"hits\": 1") == std::string::npos) {
    std::this_thread::yield();
  }
  Advance(milliseconds(5'000));
  runs.join();
  upstream_.Release();
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state = 'running'"), 0);
  EXPECT_EQ(Number("select coalesce(sum(fetched), 0) from weir.tasks"), 0);
  EXPECT_TRUE(worker.finished.TakeAll().empty()) << "it is tried again";
}

}  // namespace
}  // namespace weir::testing
