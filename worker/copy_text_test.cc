#include "worker/copy_text.h"

#include <gtest/gtest.h>

namespace weir::worker {
namespace {

TEST(CopyTextTest, WritesRowsThatCopyReadsBackTheSame) {
  std::string out;
  CopyText copy(&out);
  copy.BeginRow();
  copy.Text("a\tb\\c\nd\r");
  copy.Null();
  copy.Int(-42);
  copy.Bool(true);
  copy.Number("1e400");
  copy.Timestamp(1'783'377'244'194);
  copy.EndRow();
  EXPECT_EQ(out, "a\\tb\\\\c\\nd\\r\t\\N\t-42\tt\t1e400\t2026-07-06T22:34:04.194Z\n");
}

TEST(CopyTextTest, TheTextThatLooksLikeNullIsNotNull) {
  std::string out;
  CopyText copy(&out);
  copy.BeginRow();
  copy.Text("\\N");
  copy.EndRow();
  EXPECT_EQ(out, "\\\\N\n");
}

TEST(ColumnArraysTest, QuotesTextsAndForgetsABrokenRow) {
  ColumnArrays arrays(2);
  arrays.BeginRow();
  arrays.Text("a\"b\\c,{}");
  arrays.Int(1);
  arrays.Mark();
  arrays.BeginRow();
  arrays.Text("half a row");
  arrays.Rollback();
  arrays.BeginRow();
  arrays.Null();
  arrays.Int(2);
  EXPECT_EQ(arrays.Literal(0), R"({"a\"b\\c,{}",NULL})");
  EXPECT_EQ(arrays.Literal(1), "{1,2}");
}

}  // namespace
}  // namespace weir::worker
