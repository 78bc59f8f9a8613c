#include "common/ledger/lanes.h"

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class LanesTest : public testing::LedgerFixture {
 protected:
  LaneState Acquire(const std::string& holder) {
    auto state = AcquireLane(session_, lane_, holder, seconds(5), milliseconds(0));
    EXPECT_TRUE(state) << state.error().message;
    return state ? *state : LaneState{};
  }
  const LaneId lane_{"m", 3};
};

TEST_F(LanesTest, WhatALaneHasLearntGoesToItsNextHolder) {
  const LaneState first = Acquire("a");
  ASSERT_TRUE(first.held);
  EXPECT_TRUE(first.memory.windows.empty());
  LaneMemory memory;
  memory.delay_ms = 312.5;
  memory.task_ms = 40;
  memory.successes = 7;
  memory.throttles = 2;
  memory.windows = {{hours(24), hours(5), 4'711}, {hours(24 * 30), hours(0), 1}};
  ASSERT_TRUE(SaveLane(session_, lane_, "a", seconds(60), "quota", memory));
  ASSERT_TRUE(SaveLane(session_, lane_, "a", seconds(60), "quota", memory));
  EXPECT_FALSE(Acquire("b").held);
  ASSERT_TRUE(ReleaseLanes(session_, "a", {lane_}));
  const LaneState next = Acquire("b");
  ASSERT_TRUE(next.held);
  EXPECT_EQ(next.lease_epoch, first.lease_epoch + 1);
  EXPECT_EQ(next.waiting_for, "quota");
  EXPECT_GT(next.wait, seconds(50));
  EXPECT_EQ(next.memory.delay_ms, 312.5);
  EXPECT_EQ(next.memory.task_ms, 40);
  ASSERT_EQ(next.memory.windows.size(), 2u);
  EXPECT_EQ(next.memory.windows[0].per, hours(24));
  EXPECT_GE(next.memory.windows[0].age, hours(5));
  EXPECT_LT(next.memory.windows[0].age, hours(5) + seconds(60));
  EXPECT_EQ(next.memory.windows[0].sent, 4'711);
  EXPECT_EQ(next.memory.windows[1].sent, 1);
  EXPECT_EQ(Text("select successes || ' ' || throttles from weir.lanes"), "14 4") << "counted on";
}

TEST_F(LanesTest, OneWhoLostTheLaneWritesNothing) {
  ASSERT_TRUE(Acquire("a").held);
  ASSERT_TRUE(ReleaseHolder(session_, "a"));
  ASSERT_TRUE(Acquire("b").held);
  LaneMemory memory;
  memory.delay_ms = 9'999;
  EXPECT_TRUE(SaveLane(session_, lane_, "a", seconds(60), "quota", memory));
  EXPECT_EQ(Text("select delay_ms from weir.lanes"), "0");
  EXPECT_EQ(Acquire("b").lease_epoch, 2) << "b's again: the same epoch";
}

TEST_F(LanesTest, AWorkerIsKnownUntilItIsForgotten) {
  ASSERT_TRUE(Heartbeat(session_, "w", {"host", 42}));
  ASSERT_TRUE(Heartbeat(session_, "w", {"host", 42}));
  EXPECT_EQ(Text("select host || pid from weir.workers where id = 'w'"), "host42");
  ASSERT_TRUE(ForgetWorker(session_, "w"));
  EXPECT_EQ(Text("select count(*) from weir.workers"), "0");
  EXPECT_TRUE(ForgetWorker(session_, "w"));
}

// The database's clock was set back: a window that began in the future begins now.
TEST_F(LanesTest, AWindowFromTheFutureBeginsNow) {
  ASSERT_TRUE(Acquire("a").held);
  LaneMemory memory;
  memory.windows = {{hours(24), hours(-48), 5}};
  ASSERT_TRUE(SaveLane(session_, lane_, "a", seconds(0), "", memory));
  const LaneState state = Acquire("a");
  ASSERT_EQ(state.memory.windows.size(), 1u);
  EXPECT_EQ(state.memory.windows[0].age, milliseconds(0));
}

}  // namespace
}  // namespace weir::ledger
