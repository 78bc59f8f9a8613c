#include "worker/batch_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/ledger/hex.h"
#include "worker/testing/writer_fixture.h"

namespace weir::worker {
namespace {

using testing::DataError;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IfCopied;
using ::testing::Not;
using testing::SentBatch;
using ::testing::SizeIs;

using BatchWriterTest = testing::WriterFixture;

TEST_F(BatchWriterTest, APagesLastBatchAndItsEndAreOneTransaction) {
  ASSERT_TRUE(WriteAll({"a 1 x", "b 2 x"}, PageEnds()));
  ASSERT_THAT(database_.committed, SizeIs(1));
  const SentBatch& batch = database_.committed.front();
  EXPECT_EQ(batch.inserted, 2);
  EXPECT_EQ(batch.pages, 1);
  EXPECT_TRUE(batch.done);
  EXPECT_TRUE(ClaimsRange());
  EXPECT_EQ(database_.open, 0) << "no session is held after the commit";
  EXPECT_EQ(writer_.TakeCommitted().inserted, 2);
}

TEST_F(BatchWriterTest, NewChangedAndUnchangedRecordsAreToldApart) {
  database_.rows = {{"a", {ContentHash("a 1 x")}}, {"b", {1}}, {"c", {ContentHash("c 1 x"), true}}};
  ASSERT_TRUE(WriteAll({"a 1 x", "b 1 x", "c 1 x", "d 1 x"}, PageEnds()));
  const SentBatch sum = database_.Totals();
  EXPECT_EQ(sum.unchanged, 1);
  EXPECT_EQ(sum.updates, 2) << "a stale row is written again";
  EXPECT_EQ(sum.inserted, 1);
  ExpectConsistent(3);
}

TEST_F(BatchWriterTest, ATableWithOtherTypesTakesItsRowsAsTextFromThenOn) {
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    if (!batch.copied.empty() && !batch.as_text) return DataError("22P03");
    return std::nullopt;
  };
  ASSERT_TRUE(WriteAll({"a 1 x", "b 1 x"}, {}));
  ASSERT_TRUE(WriteAll({"c 1 x"}, PageEnds()));
  EXPECT_THAT(Ids(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(database_.refused, SizeIs(1));
  ExpectConsistent();
}

TEST_F(BatchWriterTest, ABatchPreparedBeforeTheTableWasKnownIsNotRefusedForIt) {
  Begin(/*lookup=*/false);
  database_.rows = {{"a", {ContentHash("a 1 x")}}};
  ASSERT_TRUE(Write({"a 1 x", "b 1 x"}, {}));
  ASSERT_TRUE(Write({"b 1 x", "c 1 x"}, PageEnds()));
  ASSERT_TRUE(writer_.Await());
  EXPECT_THAT(database_.refused, SizeIs(1)) << "what the first refusal told holds for the second batch";
  EXPECT_THAT(Ids(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(database_.Totals().unchanged, 2);
  ExpectConsistent(1);
}

TEST_F(BatchWriterTest, AnotherLanesRowIsLookedUpAndNotCountedTwice) {
  int commits = 0;
  database_.at_commit = [&](const SentBatch&) -> std::optional<Error> {
    // Another lane writes "b" after the look-up.
    if (++commits == 1) database_.rows["b"] = {ContentHash("b 1 x")};
    return std::nullopt;
  };
  ASSERT_TRUE(WriteAll({"a 1 x", "b 1 x", "c 1 x"}, PageEnds()));
  EXPECT_EQ(database_.Totals().inserted, 2);
  EXPECT_EQ(database_.Totals().unchanged, 1);
  EXPECT_EQ(database_.Totals().pages, 1);
  EXPECT_EQ(writer_.TakeCommitted().inserted, 2);
  ExpectConsistent(1);
}

TEST_F(BatchWriterTest, ARowThatChangedSinceTheLookUpIsLookedUpAgain) {
  database_.rows = {{"a", {1}}};
  int commits = 0;
  database_.at_commit = [&](const SentBatch&) -> std::optional<Error> {
    if (++commits == 1) database_.rows["a"] = {ContentHash("a 1 x")};
    return std::nullopt;
  };
  ASSERT_TRUE(WriteAll({"a 1 x"}, PageEnds()));
  EXPECT_EQ(database_.Totals().updates, 0);
  EXPECT_EQ(database_.Totals().unchanged, 1);
}

// A deadlock with another worker's batch: it was rolled back, and the page is in hand.
TEST_F(BatchWriterTest, ABatchThatMetOthersAtItsRowsIsWrittenOnceMore) {
  for (const char* sqlstate : {"40P01", "40001", "55P03"}) {
    int commits = 0;
    database_.at_commit = [&](const SentBatch&) -> std::optional<Error> {
      if (++commits > 1) return std::nullopt;
      Error error = MakeError(ErrorClass::kDatabase, "deadlock detected");
      error.sqlstate = sqlstate;
      return error;
    };
    ASSERT_TRUE(WriteAll({std::string(sqlstate) + " 1 x"}, PageEnds())) << sqlstate;
    EXPECT_EQ(commits, 2);
  }
  EXPECT_THAT(Ids(), ElementsAre("40001", "40P01", "55P03"));
}

TEST_F(BatchWriterTest, WhereThatLastsThePageFails) {
  int commits = 0;
  database_.at_commit = [&](const SentBatch&) -> std::optional<Error> {
    ++commits;
    Error error = MakeError(ErrorClass::kDatabase, "could not serialize access");
    error.sqlstate = "40001";
    return error;
  };
  const auto failed = WriteAll({"a 1 x"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().sqlstate, "40001");
  EXPECT_EQ(commits, 2);
  EXPECT_FALSE(writer_.WroteAgo());
}

TEST_F(BatchWriterTest, OnlyRowsCountAsWritten) {
  database_.rows = {{"a", {ContentHash("a 1 x")}}};
  ASSERT_TRUE(WriteAll({"a 1 x"}, {}));
  EXPECT_TRUE(writer_.HasStored());
  EXPECT_FALSE(writer_.WroteAgo());
  ASSERT_TRUE(WriteAll({"b 1 x"}, PageEnds()));
  EXPECT_TRUE(writer_.WroteAgo());
}

// An upstream may put the token that it was sent into a record; what is kept of a rejected one is for people.
TEST_F(BatchWriterTest, WhatIsKeptOfARejectedRecordHoldsNoSecret) {
  const std::map<std::string, Secret> secrets = {{"token", Secret("lip_0123456789")}};
  writer_.KeepOut(&secrets);
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    return batch.copied.empty() ? std::nullopt
                                : std::optional(DataError("22P02", "invalid: \"lip_0123456789\""));
  };
  const auto failed = WriteAll({"a 1 lip_0123456789"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("***"));
  ASSERT_THAT(database_.committed, SizeIs(1));
  const std::string& sql = database_.committed.front().sql;
  EXPECT_THAT(sql, HasSubstr("weir.rejects"));
  EXPECT_THAT(sql, Not(HasSubstr("lip_")));
  EXPECT_THAT(sql, Not(HasSubstr(ledger::ToHex("lip_"))));
}

TEST_F(BatchWriterTest, APageThatIsRefusedWholeSaysByWhatIfThatIsOne) {
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    auto error = IfCopied(batch, "a", "P0001");
    return error ? error : IfCopied(batch, "b", "P0001");
  };
  EXPECT_EQ(WriteAll({"a 1 x", "b 1 x"}, PageEnds()).error().sqlstate, "P0001");
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    auto error = IfCopied(batch, "c", "P0001");
    return error ? error : IfCopied(batch, "d", "23514");
  };
  writer_.StartPage(0, 0);
  const auto mixed = WriteAll({"c 1 x", "d 1 x"}, PageEnds());
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().error_class, ErrorClass::kInvalid);
  EXPECT_EQ(mixed.error().sqlstate, "");
}

TEST_F(BatchWriterTest, ARecordThatIsNeverUniqueIsRejectedAlone) {
  database_.at_commit = [](const SentBatch& batch) { return IfCopied(batch, "b", "23505"); };
  ASSERT_TRUE(WriteAll({"a 1 x", "b 1 x", "c 1 x", "d 1 x"}, PageEnds()));
  EXPECT_THAT(Ids(), ElementsAre("a", "c", "d"));
  EXPECT_THAT(database_.rejects, ElementsAre(std::pair(0, 1)));
  EXPECT_TRUE(ClaimsRange());
  EXPECT_LT(database_.refused.size(), 20U) << "races are bounded";
  ExpectConsistent();
}

TEST_F(BatchWriterTest, RecordsTheDatabaseRefusesAreRejectedAloneAndTheRestIsKept) {
  database_.at_commit = [](const SentBatch& batch) {
    auto error = IfCopied(batch, "r3", "22003");
    return error ? error : IfCopied(batch, "r17", "23502");
  };
  std::vector<std::string> records;
  for (int i = 0; i < 40; ++i) records.push_back("r" + std::to_string(i) + " 1 x");
  ASSERT_TRUE(WriteAll(records, PageEnds()));
  EXPECT_EQ(database_.rows.size(), 38U);
  EXPECT_THAT(database_.rejects, ElementsAre(std::pair(0, 3), std::pair(0, 17)));
  EXPECT_EQ(database_.Totals().pages, 1);
  EXPECT_EQ(database_.Totals().requests, 1);
  EXPECT_EQ(database_.committed.back().position, 40);
  ExpectConsistent();
}

TEST_F(BatchWriterTest, ABatchWithinAPageIsSplitWithoutItsPagesEnd) {
  database_.at_commit = [](const SentBatch& batch) { return IfCopied(batch, "b", "22003"); };
  WriteTail within;
  within.effort.requests = 3;
  ASSERT_TRUE(WriteAll({"a 1 x", "b 1 x", "c 1 x"}, std::move(within)));
  EXPECT_THAT(Ids(), ElementsAre("a", "c"));
  EXPECT_EQ(database_.Totals().pages, 0);
  EXPECT_EQ(database_.Totals().requests, 3);
  ExpectConsistent();
}

// A header that PostgreSQL cannot hold, or a constraint that somebody put on weir's own tables.
TEST_F(BatchWriterTest, AnEndThatIsRefusedFailsThePageAndRejectsNoRecord) {
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    if (batch.pages == 1) return DataError("22021", "invalid byte sequence");
    return std::nullopt;
  };
  for (const std::vector<std::string>& records :
       {std::vector<std::string>{"a 1 x"}, {"b 1 x", "c 1 x", "d 1 x"}, {}}) {
    const auto failed = WriteAll(records, PageEnds());
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().error_class, ErrorClass::kInternal);
    EXPECT_THAT(failed.error().message, HasSubstr("invalid byte sequence"));
    EXPECT_EQ(writer_.TakeUnwritten().requests, records.empty() ? 1 : 0);
  }
  EXPECT_THAT(database_.rejects, SizeIs(0));
  EXPECT_THAT(Ids(), ElementsAre("a", "b", "c", "d"));
  EXPECT_FALSE(ClaimsRange());
  EXPECT_LT(database_.refused.size(), 10U);
  EXPECT_EQ(database_.open, 0);
  ExpectConsistent();
}

TEST_F(BatchWriterTest, ABadRecordBesideABadEndIsStillFound) {
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    if (batch.pages == 1) return DataError("23514");
    return IfCopied(batch, "b", "22003");
  };
  EXPECT_FALSE(WriteAll({"a 1 x", "b 1 x"}, PageEnds()));
  EXPECT_THAT(Ids(), ElementsAre("a"));
  EXPECT_THAT(database_.rejects, ElementsAre(std::pair(0, 1)));
}

TEST_F(BatchWriterTest, ARejectThatCannotBeWrittenFailsThePage) {
  database_.at_commit = [](const SentBatch& batch) -> std::optional<Error> {
    if (!batch.rejects.empty()) return DataError("23514", "no rejects here");
    return IfCopied(batch, "b", "22003");
  };
  const auto failed = WriteAll({"a 1 x", "b 1 x", "c 1 x"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kInternal);
  EXPECT_THAT(failed.error().message, HasSubstr("no rejects here"));
  EXPECT_LT(database_.refused.size(), 10U);
  EXPECT_EQ(database_.Totals().pages, 0);
}

TEST_F(BatchWriterTest, WhatIsNotTheDatasFaultEndsThePageAtOnce) {
  for (const auto error_class : {ErrorClass::kDatabase, ErrorClass::kFenced, ErrorClass::kStopped}) {
    for (auto* const where : {&database_.at_submit, &database_.at_commit}) {
      database_.refused.clear();
      *where = [&](const SentBatch&) { return MakeError(error_class, "no"); };
      const auto failed = WriteAll({"a 1 x", "b 1 x"}, PageEnds());
      ASSERT_FALSE(failed);
      EXPECT_EQ(failed.error().error_class, error_class);
      EXPECT_THAT(database_.refused, SizeIs(1));
      EXPECT_EQ(database_.open, 0);
      EXPECT_EQ(writer_.TakeUnwritten().requests, 1) << "for whoever ends the task";
      *where = nullptr;
    }
  }
  EXPECT_EQ(writer_.TakeCommitted().fetched, 0);
  EXPECT_THAT(Ids(), SizeIs(0));
}

TEST_F(BatchWriterTest, ALostDatabaseWhileRecordsAreSplitKeepsWhatWasCommitted) {
  int commits = 0;
  database_.at_commit = [&](const SentBatch& batch) -> std::optional<Error> {
    if (auto bad = IfCopied(batch, "d", "22003")) return bad;
    if (++commits == 2) return MakeError(ErrorClass::kDatabase, "gone");
    return std::nullopt;
  };
  const auto failed = WriteAll({"a 1 x", "b 1 x", "c 1 x", "d 1 x"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(Ids(), ElementsAre("a", "b"));
  EXPECT_EQ(database_.committed.back().position, 2);
  EXPECT_EQ(writer_.TakeCommitted().inserted, 2);
}

TEST_F(BatchWriterTest, ALookUpThatFailsIsTheDatabases) {
  database_.at_exec = [](std::string_view) { return MakeError(ErrorClass::kDatabase, "gone"); };
  const auto failed = Write({"a 1 x"}, PageEnds());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kDatabase);
  database_.at_exec = nullptr;
  database_.at_acquire = MakeError(ErrorClass::kStopped, "stopping");
  const auto stopped = Write({"a 1 x"}, PageEnds());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().error_class, ErrorClass::kStopped);
}

TEST_F(BatchWriterTest, ABatchThatComesBackIsWrittenBeforeTheNextOne) {
  Begin(/*lookup=*/false);
  database_.at_commit = [](const SentBatch& batch) { return IfCopied(batch, "b", "22003"); };
  ASSERT_TRUE(Write({"a 1 x", "b 1 x"}, {}));
  ASSERT_TRUE(Write({"c 1 x", "d 1 x"}, PageEnds()));
  ASSERT_TRUE(writer_.Await());
  EXPECT_THAT(Ids(), ElementsAre("a", "c", "d"));
  EXPECT_EQ(database_.committed.back().position, 4);
  ExpectConsistent();
}

TEST_F(BatchWriterTest, PollTakesAnAnswerThatIsThereAndWaitsForNone) {
  database_.ready = false;
  ASSERT_TRUE(Write({"a 1 x"}, {}));
  ASSERT_TRUE(writer_.Poll());
  EXPECT_FALSE(writer_.HasCommitted());
  EXPECT_EQ(database_.open, 1);
  database_.ready = true;
  ASSERT_TRUE(writer_.Poll());
  EXPECT_TRUE(writer_.HasCommitted());
  EXPECT_EQ(database_.open, 0) << "an idle stream holds no session";
  EXPECT_TRUE(writer_.Poll());
}

TEST_F(BatchWriterTest, AnAbandonedBatchIsNeverCounted) {
  ASSERT_TRUE(Write({"a 1 x"}, {}));
  writer_.Abandon();
  EXPECT_EQ(database_.resets, 1);
  EXPECT_EQ(database_.open, 0);
  EXPECT_TRUE(writer_.Await());
  EXPECT_EQ(writer_.TakeCommitted().fetched, 0);
  EXPECT_THAT(database_.committed, SizeIs(0));
}

}  // namespace
}  // namespace weir::worker
