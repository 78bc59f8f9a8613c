// A page of which nothing could be stored.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "worker/testing/writer_fixture.h"

namespace weir::worker {
namespace {

using testing::DataError;
using ::testing::HasSubstr;
using testing::IfCopied;
using testing::SentBatch;
using ::testing::SizeIs;

using RejectedPageTest = testing::WriterFixture;

TEST_F(RejectedPageTest, APageWhoseEveryRecordIsRejectedIsNotEnded) {
  const auto failed = WriteAll({"a 1 bad1", " 1 x", "c 1 bad2"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  EXPECT_THAT(failed.error().message, HasSubstr("it has no id"));
  EXPECT_FALSE(failed.error().hint.empty());
  EXPECT_THAT(database_.rejects, SizeIs(3)) << "its rejects are kept";
  EXPECT_EQ(database_.Totals().pages, 0);
  EXPECT_FALSE(database_.Totals().done);
  EXPECT_FALSE(ClaimsRange());
  EXPECT_EQ(database_.Totals().requests, 1);
  ExpectConsistent();
}

// A column NOT NULL that the user added.
TEST_F(RejectedPageTest, APageWhoseEveryRecordTheDatabaseRefusesIsNotEnded) {
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    if (!batch.copied.empty()) return DataError("23502", "null value in column \"owner\"");
    return std::nullopt;
  };
  const auto failed = WriteAll({"a 1 x", "b 1 x", "c 1 x"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  EXPECT_THAT(failed.error().message, HasSubstr("owner"));
  EXPECT_THAT(database_.rejects, SizeIs(3));
  EXPECT_FALSE(ClaimsRange());
  ExpectConsistent();
}

TEST_F(RejectedPageTest, AllOfAPagesBatchesMustBeRejectedForItToFail) {
  database_.at_commit = [](const SentBatch& batch) { return IfCopied(batch, "b", "22003"); };
  ASSERT_TRUE(Write({"a 1 bad", "b 1 x"}, {}));
  ASSERT_TRUE(WriteAll({"c 1 x", "d 1 bad"}, PageEnds())) << "the last batch has a good one";
  EXPECT_TRUE(ClaimsRange());
  writer_.StartPage(0, 0);
  ASSERT_TRUE(Write({"e 1 x", "f 1 bad"}, {}));
  ASSERT_TRUE(WriteAll({"g 1 bad"}, PageEnds())) << "the first batch has a good one";
  writer_.StartPage(0, 0);
  ASSERT_TRUE(WriteAll({}, PageEnds())) << "a page without records is one";
  writer_.StartPage(0, 0);
  ASSERT_TRUE(WriteAll({"a 1 bad", "b 1 x"}, {}));
  const auto failed = WriteAll({"g 1 bad", "b 1 x"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  EXPECT_EQ(database_.Totals().pages, 3);
}

// The batch before the last was still being committed when the last one was prepared.
TEST_F(RejectedPageTest, AFlightThatComesBackRejectedCountsForThePage) {
  Begin(/*lookup=*/false);
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    if (!batch.copied.empty()) return DataError("23502");
    return std::nullopt;
  };
  ASSERT_TRUE(Write({"a 1 x"}, {}));
  const auto failed = WriteAll({"b 1 bad"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  EXPECT_THAT(database_.rejects, SizeIs(2));
  EXPECT_FALSE(ClaimsRange());
}

TEST_F(RejectedPageTest, WhatAnEarlierAttemptStoredOrRejectedCountsForThePage) {
  database_.rejects = {{0, 0}, {0, 1}, {0, 5}};
  writer_.StartPage(2, 0);
  auto failed = WriteAll({"c 1 bad"}, PageEnds(/*passed_over=*/2));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  // It died between its last batch and its end.
  writer_.StartPage(2, 0);
  failed = WriteAll({}, PageEnds(2));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInvalid);
  EXPECT_FALSE(ClaimsRange());
  writer_.StartPage(3, 0);
  EXPECT_TRUE(WriteAll({"d 1 bad"}, PageEnds(3))) << "one of the three was stored";
  EXPECT_TRUE(ClaimsRange());
}

TEST_F(RejectedPageTest, AnAnswerOfNothingButRejectsIsGivenUpBeforeItsEnd) {
  Result<void> written;
  int batches = 0;
  const std::vector<std::string> bad(500, " 1 x");
  for (; written && batches < 100; ++batches) written = WriteAll(bad, {});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().error_class, ErrorClass::kInvalid);
  EXPECT_LT(batches, 25);
}

}  // namespace
}  // namespace weir::worker
