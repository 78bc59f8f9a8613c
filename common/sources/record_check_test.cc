#include "common/sources/record_check.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <random>
#include <string>

#include "common/sources/field_columns.h"
#include "common/sources/json_string.h"
#include "common/sources/row_recorder.h"

namespace weir {
namespace {

const FieldTree& Tree() {
  static const FieldTree tree({"id", "n", "p.name", "p.x.y", "list", "p"});
  return tree;
}

// "" when the record is accepted, else why not.
std::string Why(std::string_view raw) {
  RecordCheck check(Tree());
  const PaddedRecord record(raw);
  const auto ok = check.Whole(record.View());
  if (ok) return "";
  EXPECT_EQ(ok.error().error_class, ErrorClass::kBadRecord);
  return ok.error().message;
}

bool Accepts(std::string_view raw) { return Why(raw).empty(); }

TEST(RecordCheck, AcceptsWhatJsonIs) {
  for (const char* raw : {
           "{}",
           R"( {"a" : [ ] , "b":{ },"c":[1,-0,0.5,1e5,-1.25E-7,true,false,null,"x"]} )",
           R"({"a":"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00\uD83D\uDE00"})",
           "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"}",
           R"({"a":123456789012345678901234567890,"b":1e400,"c":-0.000000000000000000000000000001})",
           R"({"a":1,"a":2})",
           R"({"":""})",
       }) {
    EXPECT_EQ(Why(raw), "") << raw;
  }
}

TEST(RecordCheck, RefusesWhatIsNoObject) {
  for (const char* raw : {"", "  ", "null", "[]", "[{}]", "\"a\"", "12", "<html>"}) {
    EXPECT_NE(Why(raw), "") << raw;
  }
}

TEST(RecordCheck, RefusesMalformedBytesAnywhere) {
  for (const char* raw : {
           "{",
           "{}}",
           "{} {}",
           "{}x",
           R"({"a"})",
           R"({"a":})",
           R"({"a":1,})",
           R"({,"a":1})",
           R"({"a":1 "b":2})",
           R"({a:1})",
           R"({"a":[1,]})",
           R"({"a":[1 2]})",
           R"({"a":[1})",
           R"({"a":1]})",
           R"({"a":tru})",
           R"({"a":truex})",
           R"({"a":nul)",
           R"({"a":01})",
           R"({"a":-})",
           R"({"a":+1})",
           R"({"a":1.})",
           R"({"a":.5})",
           R"({"a":1e})",
           R"({"a":1e+})",
           R"({"a":0x10})",
           R"({"a":NaN})",
           R"({"a":Infinity})",
           R"({"a":"x)",
           R"({"a":"\x"})",
           R"({"a":"\u12"})",
           R"({"a":"\u12g4"})",
           "{\"a\":\"\n\"}",
           "{\"a\":\"\x01\"}",
           "{\"a\":1}\x0b",
       }) {
    EXPECT_NE(Why(raw), "") << raw;
  }
}

TEST(RecordCheck, RefusesWhatPostgresqlCannotHold) {
  EXPECT_NE(Why(R"({"skipped":["\u0000"]})").find("u0000"), std::string::npos);
  EXPECT_NE(Why(R"({"a\u0000b":1})").find("u0000"), std::string::npos);
  for (const char* raw :
       {R"({"a":"\ud800"})", R"({"a":"\ud800x"})", R"({"a":"\ud800\n"})", R"({"a":"\ud800\u0041"})",
        R"({"a":"\ud800\ud800"})", R"({"a":"\udc00"})", R"({"a":"\ude00\ud83d"})", R"({"\udfff":1})"}) {
    EXPECT_NE(Why(raw).find("surrogate"), std::string::npos) << raw;
  }
  EXPECT_FALSE(Accepts(std::string_view("{\"a\":\"\0\"}", 9)));
}

TEST(RecordCheck, RefusesInvalidUtf8AlsoInKeysAndUnusedParts) {
  for (const char* bytes : {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_NE(Why("{\"skipped\":[\"" + std::string(bytes) + "\"]}").find("UTF-8"), std::string::npos);
    EXPECT_NE(Why("{\"" + std::string(bytes) + "\":1}").find("UTF-8"), std::string::npos);
  }
}

TEST(RecordCheck, NumbersAreBoundedByTheirWrittenOutLength) {
  const std::string nines(1000, '9');
  EXPECT_TRUE(Accepts("{\"n\":" + nines + "}"));
  EXPECT_FALSE(Accepts("{\"n\":" + nines + "9}"));
  EXPECT_TRUE(Accepts(R"({"n":1e999})"));
  EXPECT_TRUE(Accepts(R"({"n":1e-1000})"));
  for (const char* number :
       {"1e1000", "1e131000", "1e-131000", "-1E+99999999999999999999", "0e9999", "1e-1001"}) {
    EXPECT_NE(Why("{\"n\":" + std::string(number) + "}").find("digits"), std::string::npos) << number;
  }
}

TEST(RecordCheck, NestingIsBoundedAndNeverRecurses) {
  const auto nested = [](std::size_t levels) {
    return "{\"a\":" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  EXPECT_TRUE(Accepts(nested(255)));
  EXPECT_FALSE(Accepts(nested(256)));
  EXPECT_NE(Why(nested(100'000)).find("deep"), std::string::npos);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_NE(Why(objects).find("deep"), std::string::npos);
}

TEST(RecordCheck, LongStringsAreFine) {
  EXPECT_TRUE(Accepts("{\"a\":\"" + std::string(5 << 20, 'x') + "\"}"));
  EXPECT_FALSE(Accepts("{\"a\":\"" + std::string(5 << 20, 'x') + "\\u0000\"}"));
}

TEST(RecordCheck, NotesTheFieldsOfItsTree) {
  RecordCheck check(Tree());
  const PaddedRecord record(
      R"({"x":{"id":0},"id":"a\nb","n":12.50,"p":{"z":[{"name":1}],"name":null,"x":{"y":true}},"list":[1,2]})");
  ASSERT_TRUE(check.Whole(record.View()).has_value());
  EXPECT_EQ(check.Field(0).kind, JsonField::Kind::kString);
  EXPECT_TRUE(check.Field(0).escaped);
  std::string scratch;
  EXPECT_EQ(AsText(check.Field(0), scratch), "a\nb");
  EXPECT_EQ(check.Field(1).text, "12.50");
  EXPECT_EQ(check.Field(2).kind, JsonField::Kind::kNull);
  EXPECT_EQ(AsBool(check.Field(3)), true);
  EXPECT_EQ(check.Field(4).text, "[1,2]");
  EXPECT_EQ(check.Field(5).kind, JsonField::Kind::kObject);
  const PaddedRecord other("{}");
  ASSERT_TRUE(check.Whole(other.View()).has_value());
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(check.Field(i).kind, JsonField::Kind::kAbsent);
}

TEST(RecordCheck, LastOfEqualKeysCountsAsInJsonb) {
  RecordCheck check(Tree());
  const PaddedRecord record(
      R"({"id":"old","p":{"name":"old","x":{"y":1}},"i\u0064":"new","p":{"name":"new"}})");
  ASSERT_TRUE(check.Whole(record.View()).has_value());
  EXPECT_EQ(check.Field(0).text, "new");
  EXPECT_EQ(check.Field(2).text, "new");
  EXPECT_EQ(check.Field(3).kind, JsonField::Kind::kAbsent);
  const PaddedRecord scalar(R"({"p":{"name":"old"},"p":5})");
  ASSERT_TRUE(check.Whole(scalar.View()).has_value());
  EXPECT_EQ(check.Field(2).kind, JsonField::Kind::kAbsent);
  EXPECT_EQ(check.Field(5).kind, JsonField::Kind::kNumber);
}

TEST(RecordCheck, UntilFoundReadsNoFurtherThanNeeded) {
  static const FieldTree tree({"id"});
  RecordCheck check(tree);
  const PaddedRecord early(R"({"a":[1],"id":"x", broken)");
  EXPECT_TRUE(check.UntilFound(early.View()).has_value());
  EXPECT_EQ(check.Field(0).text, "x");
  const PaddedRecord broken(R"({"a":[1, broken ,"id":"x"})");
  EXPECT_FALSE(check.UntilFound(broken.View()).has_value());
}

TEST(JsonString, Unescapes) {
  std::string out = "<";
  AppendUnescaped(out, R"(a\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\uD83D\ude00z)");
  EXPECT_EQ(out, "<a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
}

TEST(FieldColumns, IdsAreBoundedAndPrintable) {
  const auto id = [](std::string_view text, bool escaped = false) {
    return AsId({JsonField::Kind::kString, escaped, text});
  };
  EXPECT_EQ(id("abc"), "abc");
  EXPECT_EQ(id(R"(a\u0062c)", true), "abc");
  EXPECT_EQ(id(std::string(512, 'x')).value_or("").size(), 512U);
  EXPECT_FALSE(id(std::string(513, 'x')));
  EXPECT_FALSE(id(""));
  EXPECT_FALSE(id("a\xff"));
  EXPECT_FALSE(id(R"(a\nb)", true));
  EXPECT_FALSE(AsId({JsonField::Kind::kNumber, false, "5"}));
}

// simdjson's DOM as the second opinion on grammar and UTF-8, over random damage.
TEST(RecordCheck, AgreesWithSimdjsonOnMutatedRecords) {
  std::mt19937 random(1);
  const std::string base =
      R"({"id":"abc","n":-12.5e3,"p":{"name":"J\u00fcrgen \"x\"","x":{"y":[true,false,null,0,1]}},"list":[[],{},"é"]})";
  static constexpr std::string_view kBytes = "{}[]\",:\\u0e1-+.t \x01\xff\xc3";
  simdjson::dom::parser parser;
  int accepted = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string raw = base;
    for (unsigned i = random() % 3 + 1; i > 0; --i) {
      const std::size_t at = 1 + random() % (raw.size() - 1);
      const char byte = kBytes[random() % kBytes.size()];
      if (random() % 2 == 0) {
        raw[at] = byte;
      } else {
        raw.insert(at, 1, byte);
      }
    }
    const std::string why = Why(raw);
    // What we refuse on purpose, and the DOM may take.
    if (why.find("u0000") != std::string::npos || why.find("surrogate") != std::string::npos ||
        why.find("1,000 digits") != std::string::npos) {
      continue;
    }
    simdjson::dom::element element;
    const auto error = parser.parse(raw).get(element);
    if (error == simdjson::NUMBER_ERROR && why.empty()) continue;  // 1e400: kept exactly by us
    ASSERT_EQ(why.empty(), error == simdjson::SUCCESS) << raw << "\n"
                                                       << why << "\n"
                                                       << simdjson::error_message(error);
    accepted += why.empty() ? 1 : 0;
  }
  EXPECT_GT(accepted, 200);
}

}  // namespace
}  // namespace weir
