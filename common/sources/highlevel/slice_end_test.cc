// What a page of a slice must show before it counts as what stands behind its cursor.
#include "common/sources/highlevel/slice_end.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "common/sources/highlevel/border_plan.h"

namespace weir::highlevel {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kNoBound = std::numeric_limits<std::int64_t>::max();

struct Rec {
  std::int64_t ms;
  std::string id;
};

struct Page {
  std::vector<Rec> records;
  std::optional<Rec> next;
  std::optional<std::int64_t> total = 1'500;
};

Result<PageEnd> Finish(const Selector& selector, const Page& page, std::int64_t now_ms = 1'000'000) {
  TaskContext task;
  task.selector = selector;
  task.now_ms = now_ms;
  task.budget = 1'000;
  PageResult result;
  result.records = result.distinct = static_cast<std::int64_t>(page.records.size());
  for (const Rec& record : page.records) result.order_times.Add(record.ms);
  if (!page.records.empty()) {
    result.first_id = page.records.front().id;
    result.last_id = page.records.back().id;
  }
  result.envelope = fmt::format(R"({{"opportunities":[],"meta":{{{}"startAfter":{},"startAfterId":{}}}}})",
                                page.total ? fmt::format(R"("total":{},)", *page.total) : "",
                                page.next ? std::to_string(page.next->ms) : "null",
                                page.next ? '"' + page.next->id + '"' : "null");
  return FinishSearch(task, result, {});
}

const Selector kSlice{SelectorKind::kCursor, 0, 90'000, "slice;;3;10001;c"};
const Selector kLastSlice{SelectorKind::kCursor, 0, kNoBound, "slice;;;10001;c"};
const Selector kNewest{SelectorKind::kNewest, 0, kNoBound, "slice;;;10001;c"};

// What the last question leads to where a record stands behind the place.
Selector Rest(const Selector& question) {
  TaskContext task;
  task.selector = question;
  task.now_ms = 1'000'000;
  Selector rest;
  EXPECT_TRUE(PlanRest(task, LastQuestion::Parse(question.key).value(),
                       R"({"opportunities":[{"id":"x"}],"meta":{"total":9}})",
                       [&](NewTask next) -> Result<void> {
                         rest = next.selector;
                         return {};
                       }));
  return rest;
}

void ExpectNotWhole(const Result<PageEnd>& end, const char* why) {
  ASSERT_FALSE(end) << why;
  EXPECT_EQ(end.error().error_class, ErrorClass::kTransient) << "it is to be read again";
  EXPECT_THAT(end.error().message, HasSubstr(why));
}

TEST(HighLevelSlice, APageBehindItsCursorIsGoneOnFrom) {
  const auto end = Finish(kSlice, {{{10'001, "d"}, {20'001, "a"}}, Rec{20'001, "a"}});
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->next_key, "slice;;3;20001;a");
}

TEST(HighLevelSlice, APageThatRepeatsItsPredecessorIsNotWhole) {
  // With the place of its own around it, or the predecessor's, or none.
  const std::vector<Rec> before{{5'001, "a"}, {10'001, "c"}};
  ExpectNotWhole(Finish(kSlice, {before, Rec{20'001, "d"}}), "repeats a page");
  ExpectNotWhole(Finish(kSlice, {before, Rec{10'001, "c"}}), "repeats a page");
  ExpectNotWhole(Finish(kSlice, {before, {}}), "repeats a page");
  ExpectNotWhole(Finish(kLastSlice, {before, {}}), "repeats a page");
  ExpectNotWhole(Finish(kSlice, {{{1'001, "a"}, {5'001, "b"}}, Rec{5'001, "b"}}), "does not move on");
  ExpectNotWhole(Finish(kNewest, {{{20'001, "d"}, {10'001, "c"}}, Rec{10'001, "c"}}), "repeats a page");
}

TEST(HighLevelSlice, RecordsThatDoNotLieBehindTheCursorAreNotWhatWasAskedFor) {
  ExpectNotWhole(Finish(kSlice, {{{1'001, "a"}, {20'001, "d"}}, Rec{20'001, "d"}}), "do not lie behind");
  ExpectNotWhole(Finish(kNewest, {{{30'001, "x"}, {5'001, "d"}}, Rec{5'001, "d"}}), "do not lie behind");
  ExpectNotWhole(Finish(kSlice, {{{20'001, "d"}, {30'001, "e"}}, Rec{80'001, "x"}}),
                 "not that of the page's last");
  ExpectNotWhole(Finish(kSlice, {{{70'001, "d"}, {20'001, "e"}}, Rec{20'001, "e"}}), "not in the order");
  // Where the cursor is not the time of the record, its time proves nothing.
  EXPECT_TRUE(Finish(kSlice, {{{1'001, "a"}, {2'001, "d"}}, Rec{20'001, "d"}}));
  // A time that was cut to the second.
  EXPECT_TRUE(Finish(kSlice, {{{10'000, "d"}, {20'000, "e"}}, Rec{20'777, "e"}}));
}

TEST(HighLevelSlice, APageWithoutAPlaceToGoOnFromIsGoneOnFromItsLastRecord) {
  const std::vector<Rec> records{{20'001, "d"}, {30'001, "e"}};
  auto end = Finish(kSlice, {records, {}});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->next_key, "slice;;3;30001;e");
  end = Finish(kLastSlice, {records, {}});
  ASSERT_TRUE(end);
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector.key, "total;30001;e;0")
      << "whether one stands behind it is asked for";
  end = Finish(kSlice, {{{20'001, "d"}, {0, "e"}}, {}});
  ASSERT_TRUE(end);
  EXPECT_THAT(end->incomplete, HasSubstr("no place to go on from"));
}

// Asked without a last day, a record behind the slice proves its end; where nothing follows, the totals must
// do.
TEST(HighLevelSlice, ASliceThatEndsTooEarlyIsAskedForWithoutALastDay) {
  auto end = Finish(kSlice, {{}, {}});
  ASSERT_TRUE(end);
  ASSERT_EQ(end->successors.size(), 1U);
  Selector again = end->successors[0].selector;
  EXPECT_EQ(again.key, "slice;;;10001;c;1");
  end = Finish(again, {{{90'000, "n"}}, Rec{90'000, "n"}});
  ASSERT_TRUE(end);
  EXPECT_TRUE(!end->next_key && end->successors.empty() && end->doubt.empty() && end->incomplete.empty());
  end = Finish(again, {{}, {}, 3});
  EXPECT_NE(end->doubt, "");
  EXPECT_EQ(end->incomplete, "");
  end = Finish(again, {{}, {}, {}});
  EXPECT_NE(end->incomplete, "");
}

// Records that come while the last slice is read are read too, but not for ever.
TEST(HighLevelSlice, HowOftenItIsAskedForNewRecordsIsCounted) {
  Selector slice = kLastSlice;
  slice.key = "slice;;;10001;c;2";
  auto end = Finish(slice, {{{20'001, "d"}}, Rec{20'001, "d"}}, 15'000);
  ASSERT_TRUE(end);
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector.key, "total;20001;d;2");
  end = Finish(slice, {{{20'001, "d"}}, Rec{20'001, "d"}}, 25'000);
  EXPECT_EQ(end->next_key, "slice;;;20001;d") << "it was there before the job: the count begins again";
}

// Pages A, B, A, B of one millisecond each lie behind the other's cursor: they were read without end.
TEST(HighLevelSlice, PagesOfOneMomentThatComeInTurnsAreNotReadForEver) {
  const std::vector<Rec> a{{10'001, "a1"}, {10'001, "a2"}}, b{{10'001, "b1"}, {10'001, "b2"}};
  for (const Selector& first : {kSlice, kLastSlice, kNewest}) {
    for (const bool told : {true, false}) {
      Selector selector = first;
      selector.key += ";0;99000";  // so many have come of that second
      int pages = 0;
      for (bool ended = false; !ended; ++pages) {
        ASSERT_LT(pages, 600) << "it does not end";
        const auto& records = pages % 2 == 0 ? a : b;
        const auto end = Finish(selector, {records, told ? std::optional(records.back()) : std::nullopt});
        if (!end) {
          ExpectNotWhole(end, "of one moment");
          ended = true;
        } else if (end->next_key) {
          selector.key = *end->next_key;
        } else {
          ASSERT_EQ(end->successors.size(), 1U);
          selector = end->successors[0].selector;
          if (selector.kind == SelectorKind::kDiscover) selector = Rest(selector);
        }
      }
      EXPECT_GT(pages, 400) << "a second may hold as many";
    }
  }
}

// The cursor is then in another second: the count begins again.
TEST(HighLevelSlice, WhatIsCreatedOneAfterTheOtherIsNoMoment) {
  Selector full = kSlice;
  full.key = "slice;;3;10001;c;0;100000";
  ExpectNotWhole(Finish(full, {{{10'900, "d"}}, Rec{10'900, "d"}}), "of one moment");
  const auto end = Finish(full, {{{11'000, "d"}}, Rec{11'000, "d"}});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->next_key, "slice;;3;11000;d");
}

TEST(HighLevelSlice, TheNewestEndWhereAnEmptyPageIsConfirmed) {
  auto end = Finish(kNewest, {{}, {}});
  ASSERT_TRUE(end);
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector.key, "slice;;;10001;c;1");
  end = Finish(end->successors[0].selector, {{}, {}});
  ASSERT_TRUE(end);
  EXPECT_THAT(end->successors, IsEmpty());
  const Selector first{SelectorKind::kNewest, 0, kNoBound, "slice;;;0;"};
  ExpectNotWhole(Finish(first, {{}, {}, 40}), "tells of 40 opportunities, and sends none");
  end = Finish(first, {{{20'001, "d"}, {10'001, "c"}}, Rec{10'001, "c"}, 2});
  ASSERT_TRUE(end);
  EXPECT_THAT(end->successors, IsEmpty()) << "all there are have come";
  std::vector<Rec> full(100, {20'001, "d"});
  full.back() = {10'001, "c"};
  end = Finish(first, {full, Rec{10'001, "c"}, 100});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->successors.size(), 1U) << "the total of a full page may be its own length";
}

}  // namespace
}  // namespace weir::highlevel
