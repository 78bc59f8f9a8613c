#include "common/sources/time_windows.h"

#include <gtest/gtest.h>

#include <limits>

namespace weir {
namespace {

using Ranges = std::vector<TimeRange>;

TEST(TimeWindows, SubtractLeavesTheHoles) {
  EXPECT_EQ(Subtract({10, 20}, {}), (Ranges{{10, 20}}));
  EXPECT_EQ(Subtract({10, 20}, {{10, 20}}), Ranges{});
  EXPECT_EQ(Subtract({10, 20}, {{0, 100}}), Ranges{});
  EXPECT_EQ(Subtract({10, 20}, {{0, 12}, {14, 15}, {18, 40}}), (Ranges{{12, 14}, {15, 18}}));
  EXPECT_EQ(Subtract({10, 20}, {{0, 10}, {20, 30}}), (Ranges{{10, 20}}));
  EXPECT_EQ(Subtract({20, 10}, {}), Ranges{});
}

TEST(TimeWindows, CutIsAdjacentAndWhole) {
  for (const std::int64_t parts : {1, 2, 3, 7, 999, 1000, 5000}) {
    const Ranges slices = Cut({1'000, 2'000}, parts);
    ASSERT_EQ(static_cast<std::int64_t>(slices.size()), std::min<std::int64_t>(parts, 1000));
    EXPECT_EQ(slices.front().lo, 1'000);
    EXPECT_EQ(slices.back().hi, 2'000);
    for (std::size_t i = 0; i < slices.size(); ++i) {
      EXPECT_LT(slices[i].lo, slices[i].hi);
      if (i > 0) {
        EXPECT_EQ(slices[i].lo, slices[i - 1].hi);
      }
    }
  }
  EXPECT_EQ(Cut({0, 10}, 3), (Ranges{{0, 4}, {4, 7}, {7, 10}}));
  EXPECT_EQ(Cut({0, 10}, -5), (Ranges{{0, 10}}));
  EXPECT_TRUE(Cut({10, 10}, 3).empty());
}

TEST(TimeWindows, ShareIsByTime) {
  EXPECT_EQ(Share(1000, {0, 50}, {0, 100}), 500);
  EXPECT_EQ(Share(1001, {0, 50}, {0, 100}), 501);
  EXPECT_EQ(Share(10, {0, 500}, {0, 100}), 10);
  EXPECT_EQ(Share(0, {0, 50}, {0, 100}), 0);
  EXPECT_EQ(Share(-7, {0, 50}, {0, 100}), 0);
  EXPECT_EQ(Share(10, {0, 1}, {5, 5}), 10);
  EXPECT_GT(Share(std::numeric_limits<std::int64_t>::max(), {0, 100}, {0, 100}), 1'000'000);
}

}  // namespace
}  // namespace weir
