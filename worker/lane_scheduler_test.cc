#include "worker/lane_scheduler.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

Delivery Of(const std::string& meter, std::int64_t task, bool interactive = false, int partition = 0) {
  Delivery delivery;
  delivery.message.lane = LaneId{meter, 0};
  delivery.message.task = TaskId{task};
  delivery.from = {"weir.tasks", partition};
  delivery.interactive = interactive;
  return delivery;
}

std::int64_t Task(const std::optional<LaneScheduler::Work>& work) {
  return work ? work->delivery.message.task.value : -1;
}

TEST(LaneSchedulerTest, ALaneRunsOneTaskAtATimeInOrder) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1));
  lanes.Add(Of("a", 2));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
  EXPECT_EQ(Task(lanes.TryTake()), -1) << "the lane is busy";
  lanes.Done({"a", 0}, TaskId{1}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), 2);
}

TEST(LaneSchedulerTest, LanesTakeTurns) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  for (int i = 0; i < 3; ++i) lanes.Add(Of("a", i));
  lanes.Add(Of("b", 10));
  EXPECT_EQ(Task(lanes.TryTake()), 0);
  lanes.Done({"a", 0}, TaskId{0}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), 10) << "b has its turn before a's second";
}

TEST(LaneSchedulerTest, AWaitingLaneHoldsNoExecutorAndStarvesNobody) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("slow", 1));
  lanes.Add(Of("slow", 2));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
  lanes.Done({"slow", 0}, TaskId{1}, milliseconds(60'000));
  lanes.Add(Of("quick", 3));
  EXPECT_EQ(Task(lanes.TryTake()), 3);
  EXPECT_EQ(Task(lanes.TryTake()), -1);
  clock.Advance(milliseconds(60'000));
  EXPECT_EQ(Task(lanes.TryTake()), 2);
}

TEST(LaneSchedulerTest, ATaskThatIsReadFreesItsLaneBeforeItEnds) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1));
  lanes.Add(Of("a", 2));
  lanes.Add(Of("a", 3));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
  EXPECT_TRUE(lanes.Free({"a", 0}, TaskId{1}));
  EXPECT_EQ(Task(lanes.TryTake()), 2);
  lanes.Done({"a", 0}, TaskId{1}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), -1) << "the turn is now the second's, and its end does not give it up";
  EXPECT_EQ(lanes.Running(), 1U);
  lanes.Done({"a", 0}, TaskId{2}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), 3);
}

TEST(LaneSchedulerTest, AFreedLanesTaskThatFailsHoldsItUp) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1));
  lanes.Add(Of("a", 2));
  auto first = lanes.TryTake();
  lanes.Free({"a", 0}, TaskId{1});
  EXPECT_EQ(Task(lanes.TryTake()), 2);
  lanes.GiveBack(first->lane, first->delivery, milliseconds(500));
  lanes.Done({"a", 0}, TaskId{2}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), -1);
  clock.Advance(milliseconds(500));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
}

// A message that came again while its task is being committed: a claim would only fence that commit.
TEST(LaneSchedulerTest, ATaskThatIsEndingIsNotStartedAgain) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
  lanes.Free({"a", 0}, TaskId{1});
  lanes.Add(Of("a", 1));
  EXPECT_EQ(Task(lanes.TryTake()), -1);
  clock.Advance(milliseconds(3000));
  EXPECT_TRUE(lanes.CheckOutIdle(milliseconds(3000)).empty()) << "its lease must stand until the commit";
  lanes.Done({"a", 0}, TaskId{1}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
}

TEST(LaneSchedulerTest, ManyThatRunFreeNothing) {
  ManualClock clock;
  LaneScheduler lanes(&clock, 4);
  for (const char* meter : {"a", "b"}) lanes.Add(Of(meter, meter[0]));
  EXPECT_EQ(Task(lanes.TryTake()), 'a');
  EXPECT_EQ(Task(lanes.TryTake()), 'b');
  EXPECT_FALSE(lanes.Free({"a", 0}, TaskId{'a'}));
  lanes.Done({"a", 0}, TaskId{'a'}, milliseconds(0));
  EXPECT_TRUE(lanes.Free({"b", 0}, TaskId{'b'}));
}

TEST(LaneSchedulerTest, FreedLanesKeepToHalfOfTheExecutors) {
  ManualClock clock;
  LaneScheduler lanes(&clock, 4);
  for (const char* meter : {"a", "b", "c"}) lanes.Add(Of(meter, meter[0]));
  EXPECT_EQ(Task(lanes.TryTake()), 'a');
  EXPECT_TRUE(lanes.Free({"a", 0}, TaskId{'a'}));
  EXPECT_EQ(Task(lanes.TryTake()), 'b');
  EXPECT_EQ(Task(lanes.TryTake()), -1) << "a is being committed, and two of four are busy";
  lanes.Done({"a", 0}, TaskId{'a'}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), 'c') << "all that run have their lanes";
}

TEST(LaneSchedulerTest, WhatMustBeAloneFreesNothing) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  auto delivery = Of("a", 1);
  delivery.alone = true;
  lanes.Add(delivery);
  lanes.Add(Of("a", 2));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
  EXPECT_FALSE(lanes.Free({"a", 0}, TaskId{1}));
  EXPECT_EQ(Task(lanes.TryTake()), -1);
}

TEST(LaneSchedulerTest, InteractiveTasksOvertakeBulkOnesOfTheirLane) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1));
  lanes.Add(Of("a", 2, true));
  EXPECT_EQ(Task(lanes.TryTake()), 2);
}

TEST(LaneSchedulerTest, WhatIsGivenBackComesFirstAgain) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1));
  lanes.Add(Of("a", 2));
  auto work = lanes.TryTake();
  lanes.GiveBack(work->lane, work->delivery, milliseconds(500));
  EXPECT_EQ(Task(lanes.TryTake()), -1);
  clock.Advance(milliseconds(500));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
}

// It waits for what runs, nothing begins before it or beside it, and several go one after the other.
TEST(LaneSchedulerTest, OneThatMustBeAloneIs) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  for (const char* meter : {"a", "b", "c", "d"}) lanes.Add(Of(meter, meter[0]));
  for (const char* meter : {"a", "b"}) {
    auto suspect = lanes.TryTake();
    EXPECT_EQ(Task(suspect), meter[0]);
    suspect->delivery.alone = true;
    if (meter[0] == 'b') {
      EXPECT_EQ(Task(lanes.TryTake()), 'c');
    }
    lanes.GiveBack(suspect->lane, suspect->delivery, milliseconds(meter[0] == 'a' ? 100 : 0));
  }
  EXPECT_EQ(Task(lanes.TryTake()), -1) << "c runs";
  lanes.Done({"c", 0}, TaskId{'c'}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), 'b') << "before d, whose turn it was";
  EXPECT_EQ(Task(lanes.TryTake()), -1) << "b is alone";
  lanes.Done({"b", 0}, TaskId{'b'}, milliseconds(0));
  EXPECT_EQ(Task(lanes.TryTake()), 'd') << "a waits for its time and holds up nobody";
  clock.Advance(milliseconds(100));
  lanes.Done({"d", 0}, TaskId{'d'}, milliseconds(0));
  lanes.Add(Of("d", 1));
  EXPECT_EQ(Task(lanes.TryTake()), 'a');
  EXPECT_EQ(Task(lanes.TryTake()), -1);
  lanes.EndAlone();
  EXPECT_EQ(Task(lanes.TryTake()), 1) << "a is cleared and may have company";
}

// Whoever waits for it to end need not be told the time.
TEST(LaneSchedulerTest, WhatWaitedForTheLonelyOneIsTakenAfterIt) {
  SystemClock clock;
  LaneScheduler lanes(&clock);
  auto delivery = Of("a", 1);
  delivery.alone = true;
  lanes.Add(delivery);
  EXPECT_EQ(Task(lanes.TryTake()), 1);
  lanes.Add(Of("b", 2));
  std::int64_t other = -1;
  std::thread waiting([&] { other = Task(lanes.Take()); });
  lanes.EndAlone();
  waiting.join();
  EXPECT_EQ(other, 2);
}

TEST(LaneSchedulerTest, WhatComesForALaneThatWaitsLongIsTakenOut) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("slow", 1));
  lanes.Add(Of("quick", 2));
  (void)lanes.TryTake();
  (void)lanes.TryTake();
  lanes.Done({"slow", 0}, TaskId{1}, milliseconds(60'000));
  lanes.Done({"quick", 0}, TaskId{2}, milliseconds(5'000));
  lanes.Add(Of("slow", 3));
  lanes.Add(Of("slow", 4, true));
  lanes.Add(Of("quick", 5));
  EXPECT_EQ(lanes.DrainWaiting(milliseconds(5'000)).size(), 2U);
  EXPECT_EQ(lanes.Queued(), 1U);
  EXPECT_TRUE(lanes.DrainWaiting(milliseconds(5'000)).empty());
}

TEST(LaneSchedulerTest, RevokedPartitionsAreForgotten) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1, false, 7));
  lanes.Add(Of("b", 2, false, 8));
  lanes.Drop({{"weir.tasks", 7}});
  EXPECT_EQ(lanes.Queued(), 1U);
  EXPECT_EQ(Task(lanes.TryTake()), 2);
}

// Another worker has the partition and waits for its lanes.
TEST(LaneSchedulerTest, ARevokedPartitionsLanesAreGivenBackWithoutWaiting) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("busy", 1, false, 7));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
  lanes.Add(Of("queued", 2, false, 7));
  lanes.Add(Of("stays", 3, false, 8));
  lanes.Drop({{"weir.tasks.interactive", 8}});
  lanes.Add(Of("stays", 3, false, 8));
  EXPECT_FALSE(lanes.Leaving()) << "its partition came back";
  lanes.Drop({{"weir.tasks", 7}});
  EXPECT_TRUE(lanes.Leaving());
  auto idle = lanes.CheckOutIdle(milliseconds(3000));
  EXPECT_EQ(idle, std::vector<LaneId>({{"queued", 0}}));
  lanes.CheckIn(idle);
  lanes.Done({"busy", 0}, TaskId{1}, milliseconds(0));
  idle = lanes.CheckOutIdle(milliseconds(3000));
  EXPECT_EQ(idle, std::vector<LaneId>({{"busy", 0}})) << "as soon as its page has ended";
  lanes.CheckIn(idle);
  EXPECT_FALSE(lanes.Leaving());
  EXPECT_EQ(Task(lanes.TryTake()), 3);
}

// Between two of its pages: the message comes to the partition's new owner, who waits for the lane.
TEST(LaneSchedulerTest, WhatIsGivenBackOfARevokedPartitionIsNotBegunAgain) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1, false, 7));
  auto work = lanes.TryTake();
  lanes.Drop({{"weir.tasks", 7}});
  lanes.GiveBack(work->lane, std::move(work->delivery), milliseconds(100));
  EXPECT_EQ(lanes.Queued(), 0U);
  EXPECT_EQ(lanes.CheckOutIdle(milliseconds(3000)), std::vector<LaneId>({{"a", 0}}));
}

TEST(LaneSchedulerTest, AnIdleLaneIsCheckedOutWhileItsLeaseIsGivenBack) {
  ManualClock clock;
  LaneScheduler lanes(&clock);
  lanes.Add(Of("a", 1));
  EXPECT_EQ(Task(lanes.TryTake()), 1);
  lanes.Done({"a", 0}, TaskId{1}, milliseconds(0));
  EXPECT_TRUE(lanes.CheckOutIdle(milliseconds(3000)).empty());
  clock.Advance(milliseconds(3000));
  const auto idle = lanes.CheckOutIdle(milliseconds(3000));
  ASSERT_EQ(idle.size(), 1U);
  lanes.Add(Of("a", 2));
  EXPECT_EQ(Task(lanes.TryTake()), -1) << "not while its lease is being given back";
  lanes.CheckIn(idle);
  EXPECT_EQ(Task(lanes.TryTake()), 2);
}

}  // namespace
}  // namespace weir::worker
