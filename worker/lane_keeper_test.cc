// Invariant 5: a worker believes in a lease no longer than the database does, and holds no lane that it has
// forgotten.
#include "worker/lane_keeper.h"

#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LaneKeeperTest : public ledger::testing::LedgerFixture {
 protected:
  LaneKeeper Keeper(const std::string& worker, milliseconds lease = seconds(5)) {
    return LaneKeeper({.worker = worker, .host = "h", .pid = 1, .lease = lease, .margin = milliseconds(0)},
                      &clock_, &scheduler_);
  }
  ledger::LaneState Ensure(LaneKeeper& keeper) {
    auto state = keeper.Ensure(session_, lane_);
    EXPECT_TRUE(state) << (state ? "" : state.error().message);
    return state.value_or(ledger::LaneState{});
  }
  // The lease has run out on the database's clock too.
  void ExpireInTheDatabase() {
    Run("update weir.lanes set lease_until = clock_timestamp() - interval '1 ms'");
  }
  std::string Holder() { return Text("select holder from weir.lanes"); }
  // Lets the scheduler know the lane, and have nothing to do for it.
  void Idle() {
    Delivery delivery;
    delivery.message.lane = lane_;
    scheduler_.Add(std::move(delivery));
    auto work = scheduler_.TryTake();
    ASSERT_TRUE(work);
    scheduler_.Done(work->lane, work->delivery.message.task, milliseconds(0));
    clock_.Advance(seconds(4));
  }

  const LaneId lane_{"m", 0};
  ManualClock clock_;
  LaneScheduler scheduler_{&clock_};
};

TEST_F(LaneKeeperTest, ALeaseIsValidForItsLengthAndNoLonger) {
  LaneKeeper keeper = Keeper("a");
  EXPECT_FALSE(keeper.Valid(lane_));
  ASSERT_TRUE(Ensure(keeper).held);
  clock_.Advance(milliseconds(4'999));
  EXPECT_TRUE(keeper.Valid(lane_));
  clock_.Advance(milliseconds(1));
  EXPECT_FALSE(keeper.Valid(lane_));
}

TEST_F(LaneKeeperTest, ARenewalCountsFromBeforeItWasSent) {
  LaneKeeper keeper = Keeper("a");
  ASSERT_TRUE(Ensure(keeper).held);
  clock_.Advance(seconds(3));
  ASSERT_TRUE(keeper.RunOnce(session_));
  clock_.Advance(milliseconds(4'999));
  EXPECT_TRUE(keeper.Valid(lane_));
  clock_.Advance(milliseconds(1));
  EXPECT_FALSE(keeper.Valid(lane_));
}

TEST_F(LaneKeeperTest, AFailedRenewalLeavesTheLeaseToRunOut) {
  LaneKeeper keeper = Keeper("a");
  ASSERT_TRUE(Ensure(keeper).held);
  Run("alter table weir.lanes rename to elsewhere");
  EXPECT_FALSE(keeper.RunOnce(session_));
  EXPECT_TRUE(keeper.Valid(lane_));
  clock_.Advance(seconds(5));
  EXPECT_FALSE(keeper.Valid(lane_));
}

TEST_F(LaneKeeperTest, ALaneThatAnotherTookMeanwhileIsNoLongerValid) {
  LaneKeeper a = Keeper("a"), b = Keeper("b");
  ASSERT_TRUE(Ensure(a).held);
  EXPECT_FALSE(Ensure(b).held);
  ExpireInTheDatabase();
  ASSERT_TRUE(Ensure(b).held);
  ASSERT_TRUE(a.RunOnce(session_));
  EXPECT_FALSE(a.Valid(lane_));
  EXPECT_EQ(Holder(), "b");
}

TEST_F(LaneKeeperTest, IdleLanesAreGivenBackWithWhatIsKnownOfThem) {
  LaneKeeper keeper = Keeper("a");
  int saved = 0;
  keeper.OnRelease([&](pg::Session&, const LaneId&) -> Result<void> {
    ++saved;
    return {};
  });
  ASSERT_TRUE(Ensure(keeper).held);
  Idle();
  ASSERT_TRUE(keeper.RunOnce(session_));
  EXPECT_EQ(saved, 1);
  EXPECT_EQ(Holder(), "");
  EXPECT_FALSE(keeper.Valid(lane_));
}

// C5: a worker renewed a lane for the rest of its life that it had forgotten, and nobody could have it.
TEST_F(LaneKeeperTest, ALaneWhoseReleaseFailsIsLeftToExpire) {
  LaneKeeper a = Keeper("a"), b = Keeper("b");
  a.OnRelease(
      [](pg::Session&, const LaneId&) -> Result<void> { return Fail(ErrorClass::kDatabase, "away"); });
  ASSERT_TRUE(Ensure(a).held);
  Idle();
  EXPECT_FALSE(a.RunOnce(session_));
  EXPECT_EQ(Holder(), "a");
  ExpireInTheDatabase();
  ASSERT_TRUE(a.RunOnce(session_));
  EXPECT_EQ(Text("select lease_until < clock_timestamp() from weir.lanes"), "t")
      << "renewed, though forgotten";
  EXPECT_FALSE(a.Valid(lane_));
  EXPECT_TRUE(Ensure(b).held);
}

TEST_F(LaneKeeperTest, ASuccessorWaitsForTheMarginToo) {
  LaneKeeper a = Keeper("a");
  ASSERT_TRUE(Ensure(a).held);
  ExpireInTheDatabase();
  LaneKeeper b({.worker = "b", .host = "h", .pid = 2, .lease = seconds(5), .margin = seconds(30)}, &clock_,
               &scheduler_);
  const auto state = Ensure(b);
  EXPECT_FALSE(state.held);
  EXPECT_GT(state.wait, seconds(20));
}

// C9: a lease further ahead than four of the asker's own was void, so that a shorter setting stole lanes.
TEST_F(LaneKeeperTest, ALongLeaseIsNotVoidToWhoeverUsesShortOnes) {
  LaneKeeper a = Keeper("a", seconds(60)), b = Keeper("b", seconds(3));
  ASSERT_TRUE(Ensure(a).held);
  EXPECT_FALSE(Ensure(b).held);
  ASSERT_TRUE(a.RunOnce(session_));
  EXPECT_FALSE(Ensure(b).held);
  EXPECT_EQ(Holder(), "a");
}

TEST_F(LaneKeeperTest, ALeaseFromBeforeTheClockWasSetBackIsVoid) {
  LaneKeeper a = Keeper("a"), b = Keeper("b");
  ASSERT_TRUE(Ensure(a).held);
  Run("update weir.lanes set lease_until = lease_until + interval '1 h'");
  EXPECT_TRUE(Ensure(b).held);
}

TEST_F(LaneKeeperTest, WhatTheWorkerHoldsIsToldFromItsSecondSignOn) {
  LaneKeeper keeper = Keeper("a");
  keeper.Watch([] { return std::vector<std::int64_t>{7, 9}; });
  ASSERT_TRUE(keeper.RunOnce(session_));
  EXPECT_EQ(Text("select holding is null from weir.workers"), "t") << "the database's clock is not known yet";
  ASSERT_TRUE(keeper.RunOnce(session_));
  EXPECT_EQ(Text("select holding::text from weir.workers"), "{7,9}");
  EXPECT_EQ(Text("select holding_at <= clock_timestamp() from weir.workers"), "t");
}

}  // namespace
}  // namespace weir::worker
