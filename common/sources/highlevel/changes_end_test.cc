// How a window of changes is read: what its answers prove, and what is asked where they do not.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/sources/highlevel/slice_end.h"

namespace weir::highlevel {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kLo = 10'000, kHi = 90'000;

struct Answer {
  std::vector<std::int64_t> changed;
  std::optional<std::int64_t> total;
  std::string last_id = "z";
};

Result<PageEnd> Finish(const std::string& key, const Answer& answer, std::int64_t page = 0,
                       std::int64_t overlap_ms = 300'000) {
  TaskContext task;
  task.selector = {SelectorKind::kCursor, kLo, kHi, key};
  task.page = page;
  PageResult result;
  result.records = result.distinct = static_cast<std::int64_t>(answer.changed.size());
  for (const std::int64_t ms : answer.changed) result.change_times.Add(ms);
  if (!answer.changed.empty()) {
    result.first_id = "a";
    result.last_id = answer.last_id;
  }
  result.envelope = answer.total ? fmt::format(R"({{"opportunities":[],"total":{}}})", *answer.total)
                                 : std::string(R"({"opportunities":[]})");
  return FinishSearch(task, result, {10, 5'000, kHi, overlap_ms});
}

void ExpectNotWhole(const Result<PageEnd>& end, const char* why) {
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().error_class, ErrorClass::kTransient) << "it is to be asked again";
  EXPECT_THAT(end.error().message, HasSubstr(why));
}

void ExpectEnd(const Result<PageEnd>& end, std::vector<TimeRange> read) {
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_FALSE(end->next_key);
  EXPECT_THAT(end->successors, IsEmpty());
  EXPECT_EQ(end->read, read);
}

void ExpectNext(const Result<PageEnd>& end, const std::string& key, std::vector<TimeRange> read) {
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->next_key, key);
  EXPECT_EQ(end->read, read);
}

TEST(HighLevelChanges, APageThatHoldsAllThatItsTotalTellsEndsTheWindow) {
  ExpectEnd(Finish("changes;10000;;0;0", {{20'001, 20'001, 30'001}, 3}), {{kLo, kHi}});
}

TEST(HighLevelChanges, AShortPageOfALargerTotalIsNoEnd) {
  ExpectNext(Finish("changes;10000;;0;0", {{20'001, 30'001}, 40}), "changes;30001;;0;0", {{kLo, 30'001}});
  ExpectNotWhole(Finish("changes;10000;;0;0", {{}, 25}), "tells of 25 more changes");
  ExpectNotWhole(Finish("changes;10000;;0;1", {{}, 25}), "tells of 25 more changes");
}

TEST(HighLevelChanges, AnEmptyPageIsAskedOnceMoreBeforeItEndsTheWindow) {
  for (const auto& total : {std::optional<std::int64_t>(0), std::optional<std::int64_t>()}) {
    ExpectNext(Finish("changes;10000;;0;0", {{}, total}), "changes;10000;;0;1", {});
    ExpectEnd(Finish("changes;10000;;0;1", {{}, total}), {{kLo, kHi}});
  }
}

TEST(HighLevelChanges, WithoutATotalAnEmptyPageBehindTheLastRecordEndsTheWindow) {
  ExpectNext(Finish("changes;10000;;0;0", {{20'001, 30'001}, {}}), "changes;30001;;0;0", {{kLo, 30'001}});
  ExpectNext(Finish("changes;30001;;0;0", {{30'001}, {}, "z"}), "changes;30001;z;1;0", {});
  ExpectEnd(Finish("changes;30001;z;1;0", {{}, {}}), {{30'001, kHi}});
}

TEST(HighLevelChanges, AMomentWithMoreThanAPageIsReadBehindItsLastRecord) {
  const std::vector<std::int64_t> page(500, kLo);
  ExpectNext(Finish("changes;10000;;0;0", {page, 1'200, "m"}), "changes;10000;m;500;0", {});
  ExpectNext(Finish("changes;10000;m;500;0", {page, 1'200, "q"}), "changes;10000;q;1000;0", {});
  // The total of an answer behind a record may be that of all, or of the rest.
  ExpectNext(Finish("changes;10000;q;1000;0", {{kLo, 50'001}, 1'200, "b"}), "changes;50001;;0;0",
             {{kLo, 50'001}});
  ExpectNotWhole(Finish("changes;10000;q;1000;0", {{}, 1'200}), "tells of 200 more changes");
  ExpectEnd(Finish("changes;10000;q;1200;0", {{}, 1'200}), {{kLo, kHi}});
  ExpectEnd(Finish("changes;10000;q;1200;0", {{}, 0}), {{kLo, kHi}});
}

TEST(HighLevelChanges, AnUpstreamThatIgnoresSearchAfterIsFoundOut) {
  const std::vector<std::int64_t> page(500, kLo);
  ExpectNotWhole(Finish("changes;10000;m;500;0", {page, 1'200, "m"}), "changed in one moment");
  // Without a total nothing tells that the moment holds more: on behind it.
  ExpectNext(Finish("changes;10000;m;2;0", {{kLo, kLo}, {}, "m"}), "changes;10001;;0;0", {{kLo, kLo + 1}});
}

TEST(HighLevelChanges, AFullPageWhoseTotalIsItsOwnLengthIsNoEnd) {
  std::vector<std::int64_t> page(500, 20'001);
  page.back() = 30'001;
  ExpectNext(Finish("changes;10000;;0;0", {page, 500}), "changes;30001;;0;0", {{kLo, 30'001}});
  page.pop_back();
  ExpectEnd(Finish("changes;10000;;0;0", {page, 499}), {{kLo, kHi}});
}

// Its place in the index is that of its former change: others may lie between the two.
TEST(HighLevelChanges, BehindALastRecordThatChangedAMomentAgoIsGoneOnFromTheOneBefore) {
  const auto finish = [](const std::string& key, std::vector<std::int64_t> changed) {
    return Finish(key, {std::move(changed), 40}, 0, 10'000);
  };
  ExpectNext(finish("changes;10000;;0;0", {20'001, 80'001}), "changes;20001;;0;0", {{kLo, 20'001}});
  ExpectNext(finish("changes;10000;;0;0", {20'001, 30'001}), "changes;30001;;0;0", {{kLo, 30'001}});
  // Where that would not move on, behind the last one.
  ExpectNext(finish("changes;20001;;0;0", {20'001, 80'001}), "changes;80001;;0;0", {{20'001, 80'001}});
  ExpectNext(finish("changes;10000;;0;0", {80'001}), "changes;80001;;0;0", {{kLo, 80'001}});
}

TEST(HighLevelChanges, RecordsOutsideOfTheWindowOrOutOfOrderProveNothing) {
  ExpectNotWhole(Finish("changes;30001;;0;0", {{20'001, 25'001}, 9}), "did not keep to the window");
  ExpectNotWhole(Finish("changes;30001;;0;0", {{40'001, 90'000}, 2}), "did not keep to the window");
  ExpectNotWhole(Finish("changes;10000;;0;0", {{40'001, 20'001}, 9}), "not in the order");
  ExpectNotWhole(Finish("changes;10000;;0;0", {{20'001, 0}, 9}), "not in the order");
  ExpectEnd(Finish("changes;10000;;0;0", {{40'001, 20'001}, 2}), {{kLo, kHi}});
  // Records from before the window hide none of it.
  ExpectNext(Finish("changes;30001;;0;0", {{20'001, 30'001, 40'001}, 9}), "changes;40001;;0;0",
             {{30'001, 40'001}});
  // A time that was cut to the second.
  ExpectEnd(Finish("changes;30500;;0;0", {{30'000, 40'000}, 2}), {{30'500, kHi}});
}

TEST(HighLevelChanges, AnErrorThatCameAsASuccessIsAskedAgain) {
  TaskContext task;
  task.selector = {SelectorKind::kCursor, kLo, kHi, "changes;10000;;0;0"};
  PageResult result;
  result.envelope = R"({"statusCode":500,"message":"Internal server error"})";
  ExpectNotWhole(FinishSearch(task, result, {10, 5'000, kHi}), "not a search of opportunities");
}

TEST(HighLevelChanges, APageNumberOfAnOlderVersionBeginsAtItsTime) {
  const auto page = ChangesPage::Parse("changes;10000;7");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->Text(), "changes;10000;;0;0");
  for (const char* bad : {"changes;x;1", "changes;1;x", "changes;1", "changes;1;;x;0", "slice;1;2"})
    EXPECT_FALSE(ChangesPage::Parse(bad)) << bad;
}

TEST(HighLevelChanges, TooManyForOneTaskAreSharedOut) {
  const auto end = Finish("changes;10000;;0;0", {{20'001, 50'001}, 20'500});
  ASSERT_TRUE(end);
  ASSERT_EQ(end->successors.size(), 4U);
  EXPECT_EQ(end->successors[0].selector.lo, 50'001);
  EXPECT_EQ(end->successors[3].selector.hi, kHi);
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{kLo, 50'001}}));
}

}  // namespace
}  // namespace weir::highlevel
