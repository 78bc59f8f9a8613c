#include "common/ledger/garbage.h"

#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

using GarbageTest = testing::LedgerFixture;

TEST_F(GarbageTest, AMessageIsKeptOnceWithItsBytesAndPurged) {
  const std::string bytes("\xff\x00no task", 9);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(SaveGarbage(session_, "weir.tasks", 3, 17, "no\nreason", bytes));
  ASSERT_TRUE(SaveGarbage(session_, "weir.tasks", 3, 18, "long", std::string(10'000, 'x')));
  Run("update weir.garbage set created_at = '2026-11-01' where kafka_offset = 17");
  EXPECT_EQ(CountGarbage(session_).value(), 2);
  auto garbage = ListGarbage(session_, 10);
  ASSERT_TRUE(garbage) << garbage.error().message;
  ASSERT_EQ(garbage->size(), 2u);
  EXPECT_EQ((*garbage)[0].body_start.size(), 4096u);
  EXPECT_EQ((*garbage)[1].topic, "weir.tasks");
  EXPECT_EQ((*garbage)[1].partition, 3);
  EXPECT_EQ((*garbage)[1].offset, 17);
  EXPECT_EQ((*garbage)[1].body_start, bytes);
  EXPECT_EQ(ListGarbage(session_, 1)->size(), 1u);
  EXPECT_EQ(PurgeGarbage(session_, 1'700'000'000'000).value(), 0);
  EXPECT_EQ(PurgeGarbage(session_, 4'000'000'000'000).value(), 2);
  ASSERT_TRUE(SaveGarbage(session_, "weir.tasks", 3, 18, "long", "x"));
  EXPECT_EQ(PurgeGarbage(session_, std::nullopt).value(), 1);
  EXPECT_EQ(CountGarbage(session_).value(), 0);
}

}  // namespace
}  // namespace weir::ledger
