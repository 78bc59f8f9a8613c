#include "common/sources/drift_log.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "common/sources/record_check.h"
#include "common/sources/row_recorder.h"
#include "common/sources/source.h"

namespace weir {
namespace {

const FieldTree& Tree() {
  static const FieldTree tree({AlwaysField(TextField("name")),
                               NumberField("value"),
                               TextField("who.name"),
                               {"list", KindBit(JsonKind::kArray), false},
                               "anything"},
                              {"id", "who.id", "extra.known"});
  return tree;
}

// "kind field expected→found ×count", by kind and field.
std::string Walk(DriftLog& log, const std::string& json) {
  RecordCheck check(Tree());
  check.Watch(&log);
  const PaddedRecord record(json);
  EXPECT_TRUE(check.Whole(record.View())) << json;
  std::map<std::string, std::string> sorted;
  for (const DriftLog::Entry& e : log.Entries()) {
    sorted[std::string(ToString(e.kind)) + " " + e.field] =
        e.expected + ">" + e.found + " x" + std::to_string(e.count);
  }
  std::string text;
  for (const auto& [key, value] : sorted) text += key + " " + value + "; ";
  return text;
}

TEST(DriftLog, WhatIsExpectedIsNoDrift) {
  DriftLog log;
  EXPECT_EQ(
      Walk(
          log,
          R"({"id":1,"name":"a","value":1.5,"who":{"name":"x","id":7},"list":[{"n":1}],"anything":{"x":2}})"),
      "");
  EXPECT_EQ(Walk(log, R"({"name":"a","value":null,"who":null,"list":null,"extra":{"known":{"deep":1}}})"),
            "");
  EXPECT_TRUE(log.Empty());
}

TEST(DriftLog, UnknownFieldsAtTheirHighestPoint) {
  DriftLog log;
  EXPECT_EQ(Walk(log, R"({"name":"a","new":{"x":1},"who":{"age":4},"extra":{"more":[1]}})"),
            "unknown extra.more >array x1; unknown new >object x1; unknown who.age >number x1; ");
  EXPECT_EQ(Walk(log, R"({"name":"a","new":7})"),
            "unknown extra.more >array x1; unknown new >object x2; unknown who.age >number x1; ");
}

TEST(DriftLog, ChangedTypesAndMissingFields) {
  DriftLog log;
  EXPECT_EQ(Walk(log, R"({"value":"7","who":"x","list":{}})"),
            "missing name string>absent x1; type list array>object x1; type value number>string x1; "
            "type who object>string x1; ");
  log.Clear();
  EXPECT_EQ(Walk(log, R"({"name":null})"), "missing name string>null x1; ");
}

TEST(DriftLog, IsBoundedWhateverTheUpstreamMakesUp) {
  DriftLog log;
  std::string json = R"({"name":"a")";
  for (int i = 0; i < 1000; ++i) json += ",\"f" + std::to_string(i) + "\":1";
  json += ",\"" + std::string(5000, 'k') + "\":1}";
  Walk(log, json);
  EXPECT_EQ(log.Entries().size(), DriftLog::kMostEntries);
  std::int64_t sum = 0;
  for (const auto& e : log.Entries()) {
    sum += e.count;
    EXPECT_LE(e.field.size(), DriftLog::kMaxField + 3);
  }
  EXPECT_EQ(sum, 1001) << "nothing is lost in the count";
  EXPECT_EQ(log.Entries().back().field, "…");
}

TEST(DriftLog, EverySourceHasOne) {
  for (const Source* source : AllSources()) {
    for (const StreamInfo& stream : source->Info().streams)
      EXPECT_NE(source->NewMapper(stream.name)->Drift(), nullptr)
          << source->Info().name << "/" << stream.name;
  }
}

}  // namespace
}  // namespace weir
