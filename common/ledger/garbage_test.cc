#include "common/ledger/garbage.h"

#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

class GarbageTest : public testing::LedgerFixture {
 protected:
  Result<void> Save(std::int64_t offset, const std::string& reason, const std::string& body) {
    return SaveGarbage(session_, {"weir.tasks", 3, offset, "key", body, {{"who", "me"}, {"empty", ""}}},
                       reason);
  }
};

TEST_F(GarbageTest, ItsLetterIsDueUntilItIsSentAndHasAllThatCame) {
  const std::string bytes("\xff\x00no task", 9);
  ASSERT_TRUE(Save(17, "why", bytes));
  ASSERT_TRUE(SaveGarbage(session_, {"weir.tasks", 3, 18, "", "", {}}, "empty"));
  auto due = GarbageLettersDue(session_, 10);
  ASSERT_TRUE(due) << due.error().message;
  ASSERT_EQ(due->size(), 2u);
  const RawMessage& letter = (*due)[0].message;
  EXPECT_EQ(letter.topic, "weir.tasks");
  EXPECT_EQ(letter.partition, 3);
  EXPECT_EQ(letter.offset, 17);
  EXPECT_EQ(letter.key, "key");
  EXPECT_EQ(letter.value, bytes);
  ASSERT_EQ(letter.headers.size(), 2u);
  EXPECT_EQ(letter.headers[0].first + letter.headers[0].second, "whome");
  EXPECT_EQ(letter.headers[1].first + letter.headers[1].second, "empty");
  EXPECT_EQ((*due)[0].reason, "why");
  EXPECT_TRUE((*due)[1].message.headers.empty());
  ASSERT_TRUE(MarkGarbageLettersSent(session_, {(*due)[0].id}));
  EXPECT_EQ(GarbageLettersDue(session_, 10)->size(), 1u);
  EXPECT_EQ(CountGarbage(session_).value(), 2);
}

TEST_F(GarbageTest, WhatALetterKeepsIsBounded) {
  RawMessage message{"t", 0, 0, std::string(10'000, 'k'), std::string(1 << 20, 'v'), {}};
  for (int i = 0; i < 100; ++i)
    message.headers.emplace_back(std::string(5'000, 'n'), std::string(5'000, 'h'));
  CutForLetter(message);
  EXPECT_EQ(message.value.size(), 65'536u);
  EXPECT_EQ(message.key.size(), 4'096u);
  EXPECT_EQ(message.headers.size(), 64u);
  EXPECT_EQ(message.headers[0].second.size(), 4'096u);
}

TEST_F(GarbageTest, AMessageIsKeptOnceWithItsBytesAndPurged) {
  const std::string bytes("\xff\x00no task", 9);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Save(17, "no\nreason", bytes));
  ASSERT_TRUE(Save(18, "long", std::string(10'000, 'x')));
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
  ASSERT_TRUE(Save(18, "long", "x"));
  EXPECT_EQ(PurgeGarbage(session_, std::nullopt).value(), 1);
  EXPECT_EQ(CountGarbage(session_).value(), 0);
}

}  // namespace
}  // namespace weir::ledger
