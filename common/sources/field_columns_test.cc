#include "common/sources/field_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/sources/row_recorder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

JsonField Number(std::string_view text) {
  JsonField field;
  field.kind = JsonField::Kind::kNumber;
  field.text = text;
  return field;
}

class ColumnWriterTest : public ::testing::Test {
 protected:
  const std::vector<Column> columns_{{"small", "smallint"},
                                     {"whole", "integer"},
                                     {"big", "bigint"},
                                     {"at", "timestamptz"},
                                     {"ratio", "double precision"}};
  RowRecorder row_;
  std::string scratch_;
  DriftLog drift_;

  std::vector<std::string> Drifted() const {
    std::vector<std::string> names;
    for (const DriftLog::Entry& entry : drift_.Entries()) names.push_back(entry.field + " " + entry.expected);
    return names;
  }
};

TEST_F(ColumnWriterTest, ANumberGoesByItsColumnsType) {
  ColumnWriter out(row_, scratch_, columns_, &drift_);
  out.Int(Number("32767"));
  out.Int(Number("-2147483648"));
  out.Int(Number("9223372036854775807"));
  out.Time(Number("253402300799999"));
  out.Double(Number("1e308"));
  EXPECT_THAT(row_.values, ElementsAre("int:32767", "int:-2147483648", "int:9223372036854775807",
                                       "time:253402300799999", "number:1e308"));
  EXPECT_THAT(Drifted(), IsEmpty());
}

TEST_F(ColumnWriterTest, ANumberThatDoesNotFitIsNullAndNoted) {
  ColumnWriter out(row_, scratch_, columns_, &drift_);
  out.Int(Number("32768"));
  out.Int(Number("2147483648"));
  out.Int(Number("9223372036854775808"));
  out.Time(Number("-1"));
  out.Double(Number("1e999"));
  EXPECT_THAT(row_.values, ElementsAre("null", "null", "null", "null", "null"));
  EXPECT_THAT(Drifted(), ElementsAre("small smallint", "whole integer", "big bigint", "at timestamptz",
                                     "ratio double precision"));
  ColumnWriter again(row_, scratch_, columns_, &drift_);
  again.IntOrNull(1'000'000);
  again.Int(Number("1.5"));
  EXPECT_EQ(drift_.Entries()[0].count, 2);
  EXPECT_EQ(drift_.Entries()[1].count, 2) << "a fraction is no integer";
}

TEST_F(ColumnWriterTest, WhatIsNoNumberIsNullWithoutMoreAdo) {
  ColumnWriter out(row_, scratch_, columns_, &drift_);
  JsonField text;
  text.kind = JsonField::Kind::kString;
  text.text = "12";
  out.Int(text);
  out.Int({});
  out.IntOrNull(std::nullopt);
  out.Time(text);
  out.Double(text);
  EXPECT_THAT(row_.values, ElementsAre("null", "null", "null", "null", "null"));
  EXPECT_THAT(Drifted(), IsEmpty()) << "the tree's kinds tell of that";
}

TEST(PlainTextTest, IsWhatAnyDatabaseAndHeaderTakes) {
  EXPECT_TRUE(IsPlainText("caf\xc3\xa9 \"x\"", 512));
  EXPECT_FALSE(IsPlainText("", 512));
  EXPECT_FALSE(IsPlainText("caf\xe9", 512));
  EXPECT_FALSE(IsPlainText("a\nb", 512));
  EXPECT_FALSE(IsPlainText(std::string("a\0b", 3), 512));
  EXPECT_FALSE(IsPlainText("a\x7f", 512));
  EXPECT_FALSE(IsPlainText("abc", 2));
}

}  // namespace
}  // namespace weir
