#include "common/sources/highlevel/highlevel_source.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <span>

#include "common/base/embedded_file.h"
#include "common/base/time_text.h"
#include "common/sources/record_reader.h"
#include "common/sources/row_recorder.h"

namespace weir::embedded {
std::span<const EmbeddedFile> highlevel_fixtures();
}

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::int64_t kNow = *ParseTime("2024-03-15T12:00:00Z");
constexpr std::int64_t kNoBound = std::numeric_limits<std::int64_t>::max();

std::string_view Fixture(std::string_view name) {
  for (const auto& file : embedded::highlevel_fixtures()) {
    if (file.path.ends_with(name)) return file.text;
  }
  ADD_FAILURE() << "no fixture " << name;
  return {};
}

TaskContext TaskOf(Selector selector = {}, std::string_view stream = "opportunities") {
  TaskContext task;
  task.stream = stream;
  task.account = {"LocNorth", "LocNorth", {}, true};
  task.selector = std::move(selector);
  task.now_ms = kNow;
  return task;
}

PageRequest RequestOf(const TaskContext& task) {
  auto page = HighLevelSource().Request(task);
  EXPECT_TRUE(page) << page.error().message;
  return page.value_or(PageRequest{});
}

std::vector<NewTask> PlanOf(const TaskContext& task, std::string_view document,
                            const AccountState& state = {}) {
  std::vector<NewTask> tasks;
  const auto planned = HighLevelSource().Plan(task, state, document, [&](NewTask t) -> Result<void> {
    tasks.push_back(std::move(t));
    return {};
  });
  EXPECT_TRUE(planned) << planned.error().message;
  return tasks;
}

Result<PageEnd> FinishOf(const TaskContext& task, std::int64_t records, const std::string& envelope,
                         std::int64_t last_changed = 0) {
  PageResult result;
  result.records = records;
  result.envelope = envelope;
  result.last_changed_ms = last_changed;
  return HighLevelSource().FinishPage(task, result);
}

std::string Around(std::int64_t after, const char* id) {
  return fmt::format(R"({{"opportunities":[],"meta":{{"total":9,"startAfter":{},"startAfterId":"{}"}}}})",
                     after, id);
}

TEST(HighLevelRequest, AskedForAsTheVersionWantsIt) {
  TaskContext task = TaskOf({SelectorKind::kCursor, 0, kNoBound, "slice;19782;19790;1700000000000;abc"});
  PageRequest page = RequestOf(task);
  EXPECT_EQ(page.request.target,
            "/opportunities/"
            "search?location_id=LocNorth&order=added_asc&limit=100&date=02-29-2024&endDate=03-08-2024"
            "&startAfter=1700000000000&startAfterId=abc");
  EXPECT_EQ(page.record_path, "opportunities");
  EXPECT_EQ(page.request.headers.back().value, "2021-07-28");
  task.account.params["version"] = "v3";
  EXPECT_THAT(RequestOf(task).request.target, HasSubstr("?locationId=LocNorth&"));
  task.account.params["casing"] = "snake";
  EXPECT_THAT(RequestOf(task).request.target, HasSubstr("?location_id=LocNorth&"));
  task.account.memo = "camel";  // what the upstream was found to take counts most
  EXPECT_THAT(RequestOf(task).request.target, HasSubstr("?locationId=LocNorth&"));
  task.account.params["casing"] = "kebab";
  EXPECT_EQ(HighLevelSource().Request(task).error().error_class, ErrorClass::kConfig);
}

TEST(HighLevelRequest, NoCursorIsSentByHalves) {
  const PageRequest first = RequestOf(TaskOf({SelectorKind::kCursor, 0, kNoBound, "slice;;;0;"}));
  EXPECT_EQ(first.request.target, "/opportunities/search?location_id=LocNorth&order=added_asc&limit=100");
  TaskContext bounded = TaskOf();
  bounded.filter.since_ms = *ParseTime("2024-01-10T01:00:00Z");
  bounded.filter.until_ms = *ParseTime("2024-01-20");
  EXPECT_EQ(RequestOf(bounded).request.target,
            "/opportunities/"
            "search?location_id=LocNorth&order=added_asc&limit=1&date=01-09-2024&endDate=01-21-2024");
}

TEST(HighLevelRequest, ChangesArePostedOldestFirst) {
  const PageRequest page = RequestOf(
      TaskOf({SelectorKind::kCursor, 1'700'000'000'000, 1'700'000'100'000, "changes;1700000000500;2"}));
  EXPECT_EQ(page.request.method, "POST");
  EXPECT_EQ(page.request.target, "/opportunities/search");
  EXPECT_EQ(
      page.request.body,
      R"({"locationId":"LocNorth","limit":500,"page":2,"filters":[{"field":"date_updated","operator":"range",)"
      R"("value":{"gte":"2023-11-14T22:13:20.500Z","lte":"2023-11-14T22:14:59.999Z"}}],)"
      R"("sort":[{"field":"date_updated","direction":"asc"}]})");
}

TEST(HighLevelJudge, TheOtherCasingIsTriedOnce) {
  const HighLevelSource source;
  const HttpResponseHead head{422, {{"Content-Type", "application/json"}}};
  TaskContext task = TaskOf();
  const char* snake = R"({"statusCode":422,"message":["property location_id should not exist"]})";
  const char* camel = R"({"statusCode":422,"message":["property locationId should not exist"]})";
  auto verdict = source.Judge(task, head, snake);
  ASSERT_TRUE(std::holds_alternative<AskAgain>(verdict));
  EXPECT_EQ(std::get<AskAgain>(verdict).memo, "camel");
  task.account.memo = "camel";
  EXPECT_EQ(std::get<AskAgain>(source.Judge(task, head, camel)).memo, "snake");
  const auto other =
      source.Judge(task, head, R"({"statusCode":422,"message":["limit must not be over 100"]})");
  EXPECT_EQ(std::get<Error>(other).error_class, ErrorClass::kInvalid);
}

TEST(HighLevelJudge, ErrorsSayWhatToDo) {
  const HighLevelSource source;
  const auto error = [&](int status) {
    return std::get<Error>(source.Judge(TaskOf(), {status, {{"Content-Type", "application/json"}}}, "{}"));
  };
  EXPECT_EQ(error(401).error_class, ErrorClass::kAuth);
  EXPECT_EQ(error(403).error_class, ErrorClass::kAuth);
  EXPECT_THAT(error(403).hint, HasSubstr("still exists"));
  const auto scope = std::get<Error>(source.Judge(
      TaskOf(), {401, {}}, R"({"statusCode":401,"message":"The token is not authorized for this scope."})"));
  EXPECT_THAT(scope.message, HasSubstr("The token is not authorized for this scope."));
  EXPECT_EQ(scope.hint, error(403).hint) << "a new token does not help";
  EXPECT_EQ(error(429).error_class, ErrorClass::kThrottled);
  EXPECT_EQ(error(502).error_class, ErrorClass::kTransient);
}

TEST(HighLevelPlan, AnIncrementalSyncReadsWhatChangedSinceTheFullOneBegan) {
  TaskContext task = TaskOf();
  task.mode = JobMode::kIncremental;
  AccountState state;
  state.full_sync_began_ms = kNow - 10'000'000;
  auto tasks = PlanOf(task, Fixture("search.json"), state);
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_EQ(tasks[0].selector.lo, kNow - 10'000'000 - 300'000);  // and the overlap
  EXPECT_EQ(tasks[0].selector.hi, kNow);
  task.account.params["overlap"] = "1s";  // never under a minute
  state.read = {{kNow - 9'000'000, kNow - 4'000'000}};
  tasks = PlanOf(task, Fixture("search.json"), state);
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_EQ(tasks[0].selector.lo, kNow - 10'000'000 - 60'000);
  EXPECT_EQ(tasks[0].selector.hi, kNow - 9'000'000);
  EXPECT_EQ(tasks[1].selector.lo, kNow - 4'000'000);
}

TEST(HighLevelPlan, PipelinesAreOnePage) {
  const auto tasks = PlanOf(TaskOf({}, "pipelines"), Fixture("pipelines.json"));
  ASSERT_EQ(tasks.size(), 1U);
  const PageRequest page = RequestOf(TaskOf(tasks[0].selector, "pipelines"));
  EXPECT_EQ(page.request.target, "/opportunities/pipelines?locationId=LocNorth");
  EXPECT_EQ(page.record_path, "pipelines");
}

TEST(HighLevelFinish, ASliceGoesOnUntilItsEnd) {
  TaskContext task = TaskOf({SelectorKind::kCursor, 0, 2'000, "slice;;;1000;a"});
  auto end = FinishOf(task, 100, Around(1'500, "b"));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->next_key, "slice;;;1500;b");
  end = FinishOf(task, 3, Around(1'500, "b"));  // a short page is no end
  EXPECT_EQ(end->next_key, "slice;;;1500;b");
  task.page = 9;  // the task has had its turn
  end = FinishOf(task, 100, Around(1'500, "b"));
  EXPECT_FALSE(end->next_key);
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector.hi, 2'000);
  end = FinishOf(task, 100, Around(2'000, "b"));  // the next slice is reached
  ASSERT_TRUE(end);
  EXPECT_TRUE(!end->next_key && end->successors.empty());
  EXPECT_EQ(end->doubt, "");
  end = FinishOf(task, 100,
                 R"({"opportunities":[],"meta":{"total":9,"startAfter":null}})");  // no place to go on from
  ASSERT_TRUE(end);
  EXPECT_TRUE(!end->next_key && end->successors.empty());
  EXPECT_NE(end->doubt, "");
}

TEST(HighLevelFinish, NothingOfATotalIsADoubt) {
  const TaskContext task = TaskOf({SelectorKind::kCursor, 0, kNoBound, "slice;;;0;"});
  const auto none = [](int total) {
    return fmt::format(R"({{"opportunities":[],"meta":{{"total":{},"startAfter":null}}}})", total);
  };
  EXPECT_NE(FinishOf(task, 0, none(9))->doubt, "");
  EXPECT_EQ(FinishOf(task, 0, none(0))->doubt, "");
  const auto tasks = PlanOf(
      TaskOf(), R"({"opportunities":[{}],"meta":{"total":0,"startAfter":1700000000000,"startAfterId":"a"}})");
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_NE(tasks[0].doubt, "");
}

// Records that come while the last slice is read would keep it going for ever.
TEST(HighLevelFinish, ASliceWithoutABoundEndsWhereTheJobBegan) {
  TaskContext task = TaskOf({SelectorKind::kCursor, 0, kNoBound, "slice;;;1000;a"});
  task.now_ms = 1'600;
  EXPECT_TRUE(FinishOf(task, 3, Around(1'500, "b"))->next_key);    // short, but before
  EXPECT_TRUE(FinishOf(task, 100, Around(1'700, "b"))->next_key);  // past it, but full
  const auto end = FinishOf(task, 3, Around(1'700, "b"));
  ASSERT_TRUE(end);
  EXPECT_FALSE(end->next_key);
  // Then it is asked once more how many there are.
  ASSERT_EQ(end->successors.size(), 1U);
  const TaskContext last = TaskOf(end->successors[0].selector);
  EXPECT_EQ(last.selector.kind, SelectorKind::kDiscover);
  EXPECT_EQ(RequestOf(last).request.target,
            "/opportunities/search?location_id=LocNorth&order=added_asc&limit=1");
  EXPECT_EQ(HighLevelSource().TotalIn(last, R"({"opportunities":[{}],"meta":{"total":41}})"), 41);
  EXPECT_TRUE(PlanOf(last, "no JSON").empty());
}

// An empty page is an end only if a question that asks for the next record finds none.
TEST(HighLevelFinish, WhereTheLastSliceEndsIsAskedFor) {
  const TaskContext task = TaskOf({SelectorKind::kCursor, 0, kNoBound, "slice;;;1000;a"});
  const char* none = R"({"opportunities":[],"meta":{"total":9,"startAfter":null}})";
  const auto end = FinishOf(task, 0, none);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->doubt, "");
  ASSERT_EQ(end->successors.size(), 1U);
  TaskContext last = TaskOf(end->successors[0].selector);
  last.now_ms = 2'000;
  EXPECT_EQ(
      RequestOf(last).request.target,
      "/opportunities/search?location_id=LocNorth&order=added_asc&limit=1&startAfter=1000&startAfterId=a");
  EXPECT_EQ(HighLevelSource().TotalIn(last, R"({"opportunities":[{}],"meta":{"total":41}})"), 41);
  // None, one that came since the job began, and what lies before: that was the end.
  for (const std::string& answer :
       {std::string(none), std::string("no JSON"), Around(2'000, "b"), Around(999, "b")})
    EXPECT_TRUE(PlanOf(last, answer).empty()) << answer;
  // One that was there: on from the same place, and not for ever.
  TaskContext rest = last;
  for (int looks = 1; looks <= 3; ++looks) {
    const auto tasks = PlanOf(last, Around(1'000, "b"));
    ASSERT_EQ(tasks.size(), 1U);
    rest = TaskOf(tasks[0].selector);
    EXPECT_EQ(RequestOf(rest).request.target,
              "/opportunities/"
              "search?location_id=LocNorth&order=added_asc&limit=100&startAfter=1000&startAfterId=a");
    EXPECT_EQ(FinishOf(rest, 100, Around(1'500, "c"))->next_key, "slice;;;1500;c");
    if (looks == 3) break;
    last = TaskOf(FinishOf(rest, 0, none)->successors.at(0).selector);
    last.now_ms = 2'000;
  }
  const auto given_up = FinishOf(rest, 0, none);
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().error_class, ErrorClass::kInvalid);
}

// A slice that ends before the next one's first record is looked at once more before that is doubted.
TEST(HighLevelFinish, ASliceThatEndsTooEarlyIsReadOn) {
  const TaskContext task = TaskOf({SelectorKind::kCursor, 0, 5'000, "slice;;2;1000;a"});
  const char* none = R"({"opportunities":[],"meta":{"total":9,"startAfter":null}})";
  const auto end = FinishOf(task, 0, none);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->doubt, "");
  ASSERT_EQ(end->successors.size(), 1U);
  const TaskContext again = TaskOf(end->successors[0].selector);
  EXPECT_EQ(again.selector.hi, 5'000);
  EXPECT_EQ(RequestOf(again).request.target, RequestOf(task).request.target);
  EXPECT_EQ(FinishOf(again, 100, Around(1'500, "c"))->next_key, "slice;;2;1500;c");
  const auto doubted = FinishOf(again, 0, none);
  ASSERT_TRUE(doubted);
  EXPECT_NE(doubted->doubt, "");
  EXPECT_TRUE(doubted->successors.empty());
}

TEST(HighLevelPlan, TotalsAreThoseOfTheWhole) {
  const HighLevelSource source;
  const char* document = R"({"opportunities":[{}],"meta":{"total":41}})";
  EXPECT_EQ(source.TotalIn(TaskOf(), document), 41);
  EXPECT_EQ(source.TotalIn(TaskOf(), R"({"meta":{"total":-3}})"), std::nullopt);
  EXPECT_EQ(source.TotalIn(TaskOf({SelectorKind::kDiscover, 0, 0, "border;;1;2;3;4;;5;6"}), document),
            std::nullopt);
  TaskContext other = TaskOf();
  other.mode = JobMode::kIncremental;
  EXPECT_EQ(source.TotalIn(other, document), std::nullopt);
  other = TaskOf();
  other.filter.limit = 5;
  EXPECT_EQ(source.TotalIn(other, document), std::nullopt);
}

// A crowded day is cut by pages of one record; an upstream that takes no such page is read without.
TEST(HighLevelPlan, ACutAsksForAPageAndDoesWithoutAnAnswer) {
  const Selector cut{SelectorKind::kDiscover, 1, 0, "cut;19782;19782;1700000000000;900;3;;0;900;300;0;"};
  EXPECT_THAT(RequestOf(TaskOf(cut)).request.target, HasSubstr("&limit=1&date=02-29-2024&page=300"));
  const auto refused = HighLevelSource().Judge(TaskOf(cut), {422, {{"Content-Type", "application/json"}}},
                                               R"({"message":["page must not be greater than 100"]})");
  EXPECT_TRUE(std::holds_alternative<ReadBody>(refused));
  const auto tasks = PlanOf(TaskOf(cut), R"({"message":["page must not be greater than 100"]})");
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_EQ(tasks[0].selector.kind, SelectorKind::kCursor);
  EXPECT_EQ(tasks[0].selector.hi, kNoBound);
  EXPECT_TRUE(std::holds_alternative<Error>(
      HighLevelSource().Judge(TaskOf(cut), {401, {{"Content-Type", "application/json"}}}, "{}")));
}

TEST(HighLevelFinish, APageThatRepeatsItselfIsInvalid) {
  const TaskContext task = TaskOf({SelectorKind::kCursor, 0, kNoBound, "slice;;;1000;b"});
  for (const auto& [after, id] : std::vector<std::pair<std::int64_t, const char*>>{{1000, "b"}, {999, "z"}}) {
    const auto end = FinishOf(task, 100, Around(after, id));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().error_class, ErrorClass::kInvalid);
  }
  EXPECT_TRUE(FinishOf(task, 100, Around(1000, "c")));
  EXPECT_FALSE(FinishOf(task, 100, Around(1001, "c&x=1")));  // an id that could change the request
  EXPECT_FALSE(FinishOf(task, 100, "[]"));
}

TEST(HighLevelFinish, ChangesGoOnFromTheLastOne) {
  const Selector window{SelectorKind::kCursor, 1'000, 9'000, "changes;1000;1"};
  const std::string envelope = R"({"opportunities":[],"total":700})";
  auto end = FinishOf(TaskOf(window), 500, envelope, 4'000);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->next_key, "changes;4000;1");
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{1'000, 4'000}}));
  end = FinishOf(TaskOf(window), 500, envelope, 1'000);  // all in one moment: by pages
  EXPECT_EQ(end->next_key, "changes;1000;2");
  EXPECT_TRUE(end->read.empty());
  end = FinishOf(TaskOf(window), 3, envelope, 8'000);
  EXPECT_FALSE(end->next_key);
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{1'000, 9'000}}));
  // Too many for one task: the rest is cut, and shared by the lanes.
  end = FinishOf(TaskOf(window), 500, R"({"opportunities":[],"total":20500})", 4'000);
  ASSERT_EQ(end->successors.size(), 4U);
  EXPECT_EQ(end->successors[0].selector.lo, 4'000);
  EXPECT_EQ(end->successors[3].selector.hi, 9'000);
  // The search reaches no further than 10,000.
  const Selector deep{SelectorKind::kCursor, 1'000, 9'000, "changes;1000;20"};
  EXPECT_FALSE(FinishOf(TaskOf(deep), 500, envelope, 1'000));
  EXPECT_FALSE(FinishOf(TaskOf(window), 500, envelope, 500));  // not what was asked for
}

struct Mapped {
  RecordHead head;
  std::map<std::string, std::string, std::less<>> row;
};

std::vector<Mapped> MapAll(std::string_view stream, std::string_view file, std::size_t place) {
  const HighLevelSource source;
  const auto mapper = source.NewMapper(stream);
  const TableSpec& table = source.Info().streams[place].table;
  std::vector<Mapped> all;
  const auto reader =
      NewJsonArrayReader(std::string(stream), {}, [&](std::string_view raw, bool) -> Result<bool> {
        const PaddedRecord record(raw);
        auto head = mapper->Head(record.View());
        if (!head) return Fail(head.error());
        RowRecorder row;
        if (auto mapped = mapper->Map(record.View(), row); !mapped) return Fail(mapped.error());
        EXPECT_EQ(row.values.size(), table.columns.size());
        all.push_back({*head, row.ByColumn(table.columns)});
        return true;
      });
  EXPECT_TRUE(reader->Feed(Fixture(file)));
  EXPECT_TRUE(reader->End());
  return all;
}

TEST(HighLevelMapper, Opportunities) {
  const auto all = MapAll("opportunities", "search.json", 0);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].head.id, "oppRoof0000000000001");
  EXPECT_EQ(all[0].head.order_ms, *ParseTime("2024-02-03T04:05:06.789Z"));
  EXPECT_EQ(all[0].head.changed_ms, *ParseTime("2024-03-01T10:00:00.001Z"));
  const std::map<std::string, std::string, std::less<>> expected{
      {"name", "text:Roof, \"Müller\""},
      {"value", "number:12500.50"},
      {"status", "text:open"},
      {"pipeline_id", "text:pPipelineSales00000a"},
      {"stage_id", "text:5b1e2c1f-8a4b-4f6e-9f0d-3c2f1f1c0a01"},
      {"assigned_to", "text:userAnna000000000001"},
      {"source", "text:web form"},
      {"lost_reason_id", "null"},
      {"contact_id", "text:contact0000000000001"},
      {"contact_name", "text:Jürgen Müller"},
      {"contact_company", "text:Dachbau"},
      {"contact_email", "text:jm@example.org"},
      {"contact_phone", "text:+4930123456"},
      {"contact_tags", "text:[\"lead\",\"vip\"]"},
      {"custom_fields",
       "text:[{\"id\":\"cf1\",\"fieldValue\":\"x\"},{\"id\":\"cf2\",\"fieldValue\":[\"a\",\"b\"]}]"},
      {"created_at", fmt::format("time:{}", *ParseTime("2024-02-03T04:05:06.789Z"))},
      {"changed_at", fmt::format("time:{}", *ParseTime("2024-03-01T10:00:00.001Z"))},
      {"status_changed_at", fmt::format("time:{}", *ParseTime("2024-02-03T04:05:06.789Z"))},
      {"stage_changed_at", fmt::format("time:{}", *ParseTime("2024-02-04T04:05:06.789Z"))},
      {"last_action_at", fmt::format("time:{}", *ParseTime("2024-02-05T04:05:06Z"))}};
  EXPECT_EQ(all[0].row, expected);
  // What has another type than documented is nothing; the other spelling of custom fields is known.
  EXPECT_EQ(all[1].row.at("value"), "null");
  EXPECT_EQ(all[1].row.at("contact_name"), "null");
  EXPECT_EQ(all[1].row.at("custom_fields"), R"(text:[{"id":"cf9","fieldValue":{"y":1}}])");
  EXPECT_EQ(all[1].row.at("changed_at"), "time:1709287200123");
}

TEST(HighLevelMapper, Pipelines) {
  const auto all = MapAll("pipelines", "pipelines.json", 1);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].row.at("name"), "text:Sales \"north\"");
  EXPECT_THAT(all[0].row.at("stages"), HasSubstr("\"Won\""));
  EXPECT_EQ(all[0].row.at("show_in_funnel"), "bool:true");
  EXPECT_EQ(all[1].row.at("color_render_mode"), "null");
}

TEST(HighLevelAccount, ALocationsIdKeepsItsCase) {
  const HighLevelSource source;
  EXPECT_EQ(source.AccountKey("ve9EPM428h8vShlRW1KT"), "ve9EPM428h8vShlRW1KT");
  for (const char* bad : {"", "a b", "a/b", "a&b"}) EXPECT_FALSE(source.AccountKey(bad)) << bad;
  EXPECT_EQ(source.Meter({"Loc", "Loc", {}, true}, Secret("t")), "highlevel:Loc");
}

}  // namespace
}  // namespace weir
