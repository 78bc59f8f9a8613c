#include "common/ledger/lane_list.h"

#include <gtest/gtest.h>

#include "common/ledger/lanes.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using std::chrono::seconds;
using LaneListTest = testing::LedgerFixture;

TEST_F(LaneListTest, ALaneTellsItsOwnerItsWaitAndItsTasks) {
  JobRequest request = Request({"alice"});
  request.accounts[0].lanes = 2;
  const JobId id = Open(request);
  Plan(id, "alice", 3);
  const int lane = std::stoi(Text("select lane from weir.tasks limit 1"));
  Run("update weir.tasks set state = 'running', owner = 'w' where kind = 1 and lo = 0");
  Run("update weir.tasks set state = 'dispatched' where kind = 1 and lo = 1");
  ASSERT_TRUE(Heartbeat(session_, "w", {"host", 42}));
  ASSERT_TRUE(AcquireLane(session_, LaneId{"m", lane}, "w", seconds(60), seconds(1)));
  ASSERT_TRUE(HoldLane(session_, LaneId{"m", lane}, "w", seconds(60), "throttled"));
  Run("update weir.lanes set delay_ms = 250, successes = 99, throttles = 1 where holder = 'w'");
  auto lanes = ListLanes(session_, "");
  ASSERT_TRUE(lanes) << lanes.error().message;
  ASSERT_EQ(lanes->size(), 2u);
  const LaneStatus& busy = (*lanes)[static_cast<std::size_t>(lane)];
  EXPECT_EQ(busy.lane, (LaneId{"m", lane}));
  EXPECT_EQ(busy.owner, "w");
  EXPECT_EQ(busy.host, "host");
  EXPECT_EQ(busy.pid, 42);
  EXPECT_EQ(busy.account, "alice");
  EXPECT_EQ(busy.delay_ms, 250);
  EXPECT_EQ(busy.successes, 99);
  EXPECT_EQ(busy.throttles, 1);
  EXPECT_EQ(busy.running, 1);
  EXPECT_EQ(busy.sent, 1);
  EXPECT_EQ(busy.waiting, 1);
  EXPECT_EQ(busy.waiting_for, "throttled");
  EXPECT_GT(busy.waiting_ms, 50'000);
  EXPECT_FALSE(busy.until.empty());
  const LaneStatus& idle = (*lanes)[static_cast<std::size_t>(1 - lane)];
  EXPECT_EQ(idle.owner, "");
  EXPECT_EQ(idle.until, "");
  EXPECT_EQ(idle.running + idle.sent + idle.waiting, 0);
  // A lease and a wait that are over are none.
  Run("update weir.lanes set lease_until = now() - interval '1 s', not_before = now() - interval '1 s'");
  lanes = ListLanes(session_, "");
  EXPECT_EQ((*lanes)[static_cast<std::size_t>(lane)].owner, "");
  EXPECT_EQ((*lanes)[static_cast<std::size_t>(lane)].waiting_for, "");
}

TEST_F(LaneListTest, AnAccountsLanesAreThoseOfItsMeter) {
  JobRequest request = Request({"alice", "bob"});
  request.accounts[1].meter = "other";
  Open(request);
  EXPECT_EQ(ListLanes(session_, "")->size(), 2u);
  auto lanes = ListLanes(session_, "BOB");
  ASSERT_EQ(lanes->size(), 1u);
  EXPECT_EQ(lanes->front().lane.meter, "other");
  EXPECT_EQ(ListLanes(session_, "nobody").error().error_class, ErrorClass::kNotFound);
}

}  // namespace
}  // namespace weir::ledger
