// PostgreSQL is the judge: what the walker takes, ::jsonb takes and reads alike, and a number that COPY
// stored in binary is the number that was written.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/pg/session.h"
#include "common/sources/json_string.h"
#include "common/sources/record_check.h"
#include "tests/fuzz/mutate.h"
#include "tests/support/postgres/test_postgres.h"
#include "worker/copy_binary.h"

namespace weir::fuzz {
namespace {

constexpr int kTaken = 2'000;        // documents and numbers that the walker takes
constexpr int kMostTries = 400'000;  // for them

class FuzzServerTest : public ::testing::Test {
 protected:
  // Changed seeds of a target until `take` took enough of them.
  template <typename Take>
  void ForChangedSeeds(std::string_view target, Take take) {
    const auto seeds = SeedsOf(target);
    ASSERT_FALSE(seeds.empty());
    std::mt19937_64 random(7);
    int taken = 0;
    for (int tries = 0; taken < kTaken && !HasFatalFailure(); ++tries) {
      ASSERT_LT(tries, kMostTries) << "too few of the changed seeds are taken: " << taken;
      const std::string& seed = seeds[random() % seeds.size()].second;
      if (take(Mutate(seed, seeds[random() % seeds.size()].second, random))) ++taken;
    }
  }

  testing::TestPostgres database_;
  pg::Session session_{database_.Options()};
};

TEST_F(FuzzServerTest, JsonbTakesEveryRecordThatTheWalkerTakes) {
  static const FieldTree kTree({FieldSpec("id"), FieldSpec("a.b")});
  ForChangedSeeds("json_walker", [&](const std::string& document) {
    const std::string padded = document + std::string(64, '\0');
    RecordCheck check(kTree);
    if (!check.Whole({padded.data(), document.size()})) return false;
    const auto rows = session_.Exec("select $1::jsonb->>'id', $1::jsonb#>>'{a,b}'", {document});
    EXPECT_TRUE(rows) << rows.error().message << "\n" << ::testing::PrintToString(document);
    for (int field = 0; rows && field < 2; ++field) {
      const JsonField& ours = check.Field(static_cast<std::size_t>(field));
      if (ours.kind != JsonKind::kString) continue;
      std::string text;
      AppendUnescaped(text, ours.text);
      EXPECT_EQ(rows->Text(0, field), text) << ::testing::PrintToString(document);
    }
    return true;
  });
}

TEST_F(FuzzServerTest, ANumberCopiedInBinaryIsTheNumberThatWasWritten) {
  static const std::vector<worker::WireType> kColumns{worker::WireType::kText, worker::WireType::kNumeric};
  std::string rows;
  worker::CopyBinary copy(&rows, &kColumns);
  copy.Begin();
  ForChangedSeeds("numeric", [&](const std::string& number) {
    if (number.find_first_not_of("0123456789+-.eE") != std::string::npos || !CheckDocument(number, 1))
      return false;
    copy.BeginRow();
    copy.Text(number);
    copy.Number(number);
    copy.EndRow();
    return true;
  });
  copy.End();
  ASSERT_TRUE(
      session_.Script("create table fence (id int); insert into fence values (1); "
                      "create table numbers (written text, stored numeric)"));
  auto sent = session_.SubmitFenced(
      "begin; update fence set id = id; copy numbers from stdin (format binary); commit", rows);
  if (sent) sent = session_.Await();
  ASSERT_TRUE(sent) << sent.error().message;
  // Scale and all, which a comparison of values does not see.
  const auto wrong = session_.Exec(
      "select count(*), (select written || ' is ' || stored from numbers where stored::text <> "
      "written::numeric::text limit 1) from numbers where stored::text <> written::numeric::text");
  ASSERT_TRUE(wrong) << wrong.error().message;
  EXPECT_EQ(wrong->Text(0, 0), "0") << wrong->Text(0, 1);
  EXPECT_EQ(session_.Exec("select count(*) from numbers")->Text(0, 0), std::to_string(kTaken));
}

}  // namespace
}  // namespace weir::fuzz
