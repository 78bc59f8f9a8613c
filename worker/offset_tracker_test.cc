#include "worker/offset_tracker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace weir::worker {
namespace {

TEST(OffsetTrackerTest, NeverStoresPastAnUnfinishedOffset) {
  OffsetTracker tracker;
  for (const std::int64_t offset : {5, 6, 9}) tracker.Delivered(offset);
  tracker.Finished(6);
  tracker.Finished(9);
  EXPECT_EQ(tracker.TakeStorable(), std::nullopt);
  tracker.Finished(5);
  EXPECT_EQ(tracker.TakeStorable(), 10) << "a gap between offsets is no message";
  EXPECT_EQ(tracker.TakeStorable(), std::nullopt) << "told once";
  EXPECT_EQ(tracker.Unfinished(), 0U);
}

TEST(OffsetTrackerTest, AnyOrderOfFinishingEndsAtTheEndAndNeverAhead) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    OffsetTracker tracker;
    std::vector<std::int64_t> offsets(100);
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      offsets[i] = static_cast<std::int64_t>(i) * 2;
      tracker.Delivered(offsets[i]);
    }
    std::vector<bool> done(200);
    std::shuffle(offsets.begin(), offsets.end(), random);
    std::int64_t stored = 0;
    for (const std::int64_t offset : offsets) {
      done[static_cast<std::size_t>(offset)] = true;
      tracker.Finished(offset);
      stored = tracker.TakeStorable().value_or(stored);
      for (std::int64_t before = 0; before < stored; before += 2)
        ASSERT_TRUE(done[static_cast<std::size_t>(before)]);
    }
    EXPECT_EQ(stored, 199);
  }
}

TEST(OffsetTrackerTest, TheWindowIsBounded) {
  OffsetTracker tracker;
  std::int64_t offset = 0;
  while (!tracker.Full()) tracker.Delivered(offset++);
  EXPECT_EQ(offset, 256);
  tracker.Finished(255);
  EXPECT_TRUE(tracker.Full()) << "the oldest one still holds the window";
  tracker.Finished(0);
  EXPECT_FALSE(tracker.Full());
}

TEST(OffsetTrackerDeathTest, MisuseStopsTheProgram) {
  OffsetTracker tracker;
  tracker.Delivered(3);
  EXPECT_DEATH(tracker.Finished(4), "never delivered");
  EXPECT_DEATH(tracker.Delivered(3), "out of order");
}

}  // namespace
}  // namespace weir::worker
