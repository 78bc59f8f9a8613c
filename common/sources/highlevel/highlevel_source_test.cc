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

Result<PageEnd> FinishOf(const TaskContext& task, std::int64_t records, const std::string& envelope) {
  PageResult result;
  result.records = records;
  result.envelope = envelope;
  return HighLevelSource().FinishPage(task, result);
}

std::string Around(std::int64_t after, const char* id) {
  return fmt::format(R"({{"opportunities":[],"meta":{{"total":9,"startAfter":{},"startAfterId":"{}"}}}})",
                     after, id);
}

// The answer to a question for one record.
std::string Next(std::int64_t after, const char* id) {
  std::string answer = Around(after, id);
  answer.insert(answer.find("[]") + 1, "{}");
  return answer;
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
            "search?location_id=LocNorth&order=added_asc&limit=1&date=01-09-2024&endDate=01-22-2024");
}

TEST(HighLevelRequest, ChangesArePostedOldestFirst) {
  const PageRequest page = RequestOf(
      TaskOf({SelectorKind::kCursor, 1'700'000'000'000, 1'700'000'100'000, "changes;1700000000500;;0;0"}));
  EXPECT_EQ(page.request.method, "POST");
  EXPECT_EQ(page.request.target, "/opportunities/search");
  EXPECT_EQ(page.request.body,
            R"({"locationId":"LocNorth","limit":500,"filters":[{"field":"date_updated","operator":"range",)"
            R"("value":{"gte":"2023-11-14T22:13:20.500Z","lte":"2023-11-14T22:14:59.999Z"}}],)"
            R"("sort":[{"field":"date_updated","direction":"asc"}]})");
  // Within one moment behind a record; pages are never counted: whether they begin at 0 or 1 is not
  // documented.
  const PageRequest behind = RequestOf(TaskOf(
      {SelectorKind::kCursor, 1'700'000'000'000, 1'700'000'100'000, "changes;1700000000500;opp7;500;0"}));
  EXPECT_THAT(behind.request.body, HasSubstr(R"(,"searchAfter":[1700000000500,"opp7"]})"));
  EXPECT_THAT(behind.request.body, Not(HasSubstr("\"page\"")));
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

// Its documentation knows 200 alone, for POST too.
TEST(HighLevelJudge, OnlyStatus200IsAnAnswer) {
  const HighLevelSource source;
  for (const char* key :
       {"slice;;;0;", "changes;1000;;0;0", "cut;19782;19782;1700000000000;900;3;;0;900;300;0;"}) {
    const TaskContext task = TaskOf({SelectorKind::kCursor, 0, kNoBound, key});
    EXPECT_TRUE(std::holds_alternative<ReadBody>(source.Judge(task, {200, {}}, "")));
    for (const int status : {201, 202, 203, 204, 206, 304}) {
      const auto verdict = source.Judge(task, {status, {}}, "");
      ASSERT_TRUE(std::holds_alternative<Error>(verdict)) << status;
      EXPECT_EQ(std::get<Error>(verdict).error_class, ErrorClass::kTransient) << status;
    }
  }
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
  // The page is to have as many as the plan's answer had.
  const TaskContext task = TaskOf(tasks[0].selector, "pipelines");
  EXPECT_TRUE(FinishOf(task, 2, R"({"pipelines":[]})"));
  // One that was deleted since, or a cut answer: the plan is asked for again, and then both must agree.
  for (const int fewer : {0, 1}) {
    const auto end = FinishOf(task, fewer, R"({"pipelines":[]})");
    ASSERT_TRUE(end) << fewer;
    ASSERT_EQ(end->successors.size(), 1U);
    const TaskContext again = TaskOf(end->successors[0].selector, "pipelines");
    EXPECT_EQ(again.selector.kind, SelectorKind::kDiscover);
    EXPECT_EQ(RequestOf(again).request.target, page.request.target);
    const auto one = PlanOf(again, R"({"pipelines":[{"id":"a"}]})");
    ASSERT_EQ(one.size(), 1U);
    const TaskContext last = TaskOf(one[0].selector, "pipelines");
    EXPECT_EQ(RequestOf(last).request.target, page.request.target);
    EXPECT_TRUE(FinishOf(last, 1, R"({"pipelines":[]})")->successors.empty());
    const auto none = FinishOf(last, 0, R"({"pipelines":[]})");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().error_class, ErrorClass::kTransient);
    const auto gone = HighLevelSource().Plan(again, {}, R"({"pipelines":[]})",
                                             [](const NewTask&) { return Result<void>(); });
    ASSERT_FALSE(gone) << "all of them at once are not believed to be gone";
    EXPECT_EQ(gone.error().error_class, ErrorClass::kTransient);
  }
  EXPECT_TRUE(FinishOf(TaskOf({SelectorKind::kPages, 0, 1, ""}, "pipelines"), 0, ""))
      << "of an older version";
  // One that comes twice makes up for none that is missing, in the page or in the plan.
  PageResult twice;
  twice.records = 2;
  twice.distinct = 1;
  twice.envelope = R"({"pipelines":[]})";
  EXPECT_EQ(HighLevelSource().FinishPage(task, twice)->successors.size(), 1U);
  EXPECT_EQ(PlanOf(TaskOf({}, "pipelines"), R"({"pipelines":[{"id":"a"},{"id":"b"},{"id":"a"},{}]})")
                .at(0)
                .selector.key,
            "3");
  for (const char* bad : {R"({"statusCode":500,"message":"x"})", R"({"pipelines":[{)", "[]"}) {
    const auto planned = HighLevelSource().Plan(TaskOf({}, "pipelines"), {}, bad,
                                                [](const NewTask&) { return Result<void>(); });
    ASSERT_FALSE(planned) << bad;
    EXPECT_EQ(planned.error().error_class, ErrorClass::kTransient) << bad;
  }
}

// What is later than the upstream's clock could not have been told yet.
TEST(HighLevelFinish, ChangesAreClaimedByTheUpstreamsClockWhereItIsBehindOurs) {
  const TaskContext task = TaskOf(
      {SelectorKind::kCursor, kNow - 7'200'000, kNow, fmt::format("changes;{};;0;0", kNow - 7'200'000)});
  const auto claimed = [&](std::string_view date, std::int64_t changed_ms) {
    HttpResponseHead head{200, {}};
    if (!date.empty()) head.headers.push_back({"Date", std::string(date)});
    PageResult result;
    result.head = &head;
    result.records = result.distinct = 1;
    result.first_id = result.last_id = "a";
    result.change_times.Add(changed_ms);
    result.envelope = R"({"opportunities":[],"total":1})";
    const auto end = HighLevelSource().FinishPage(task, result);
    EXPECT_TRUE(end && end->read.size() == 1U);
    return end && end->read.size() == 1U ? kNow - end->read[0].hi : -1;
  };
  constexpr std::int64_t kOverlap = 300'000, kMinute = 60'000;
  const std::int64_t early = kNow - 7'000'000;
  EXPECT_EQ(claimed("", early), kOverlap);
  EXPECT_EQ(claimed("Fri, 15 Mar 2024 12:00:00 GMT", early), kOverlap);
  EXPECT_EQ(claimed("Fri, 15 Mar 2024 11:00:00 GMT", early), kOverlap + 60 * kMinute);
  EXPECT_EQ(claimed("Fri, 15 Mar 2024 13:00:00 GMT", early), kOverlap) << "ours is never exceeded";
  // A Date that is behind the upstream's own records is not its clock's.
  EXPECT_EQ(claimed("Fri, 01 Mar 2024 11:00:00 GMT", kNow - 30 * kMinute), kOverlap + 30 * kMinute);
}

TEST(HighLevelGrant, AShortLifeDoesNotHaveEachTaskSpendARefreshToken) {
  using std::chrono::seconds;
  const auto lives = [](const char* expires_in) {
    const auto grant = HighLevelSource().ReadGrant(
        {200, {}}, fmt::format(R"({{"access_token":"at","refresh_token":"rt"{}}})", expires_in));
    EXPECT_TRUE(grant);
    return grant ? grant->lives : std::chrono::milliseconds(0);
  };
  for (const char* brief : {"0", "-5", "1", "60", "599"})
    EXPECT_EQ(lives(fmt::format(R"(,"expires_in":{})", brief).c_str()), seconds(600)) << brief;
  EXPECT_EQ(lives(R"(,"expires_in":3600)"), seconds(3'600));
  EXPECT_EQ(lives(""), seconds(86'400));
}

// A grant that is not taken loses the account: the refresh token is spent, and the next one is in it.
TEST(HighLevelGrant, TwoTokensAreAGrantWhateverStandsAroundThem) {
  const std::string grant = R"({"access_token":"at","refresh_token":"rt"})";
  const auto read = [](int status, const std::string& document) {
    return HighLevelSource().ReadGrant({status, {}}, document);
  };
  for (const int status : {200, 201, 202, 203, 206}) {
    for (const std::string before : {"", "\xEF\xBB\xBF", "\r\n "}) {
      const auto tokens = read(status, before + grant);
      ASSERT_TRUE(tokens) << status << before;
      EXPECT_EQ(tokens->refresh_token.Reveal(), "rt");
    }
  }
  for (const int status : {199, 300, 302, 400, 401, 500, 503}) EXPECT_FALSE(read(status, grant)) << status;
  for (const char* half :
       {R"({"access_token":"at"})", R"({"refresh_token":"rt"})", R"({"access_token":"at","refresh_tok)", ""})
    EXPECT_FALSE(read(201, half)) << half;
}

TEST(HighLevelFinish, ASliceGoesOnUntilItsEnd) {
  TaskContext task = TaskOf({SelectorKind::kCursor, 0, 2'000, "slice;;;1000;a"});
  auto end = FinishOf(task, 100, Around(1'500, "b"));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->next_key, "slice;;;1500;b;0;100") << "records of one second are counted";
  end = FinishOf(task, 3, Around(1'500, "b"));  // a short page is no end
  EXPECT_EQ(end->next_key, "slice;;;1500;b;0;3");
  task.page = 9;  // the task has had its turn
  end = FinishOf(task, 100, Around(1'500, "b"));
  EXPECT_FALSE(end->next_key);
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector.hi, 2'000);
  end = FinishOf(task, 100, Around(2'000, "b"));  // the next slice is reached
  ASSERT_TRUE(end);
  EXPECT_TRUE(!end->next_key && end->successors.empty());
  EXPECT_EQ(end->doubt, "");
}

TEST(HighLevelPlan, ATotalOfNothingWhereThereAreRecordsIsADoubt) {
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
  // Then it is asked once more how many there are, and what follows.
  ASSERT_EQ(end->successors.size(), 1U);
  const TaskContext last = TaskOf(end->successors[0].selector);
  EXPECT_EQ(last.selector.kind, SelectorKind::kDiscover);
  EXPECT_EQ(
      RequestOf(last).request.target,
      "/opportunities/search?location_id=LocNorth&order=added_asc&limit=1&startAfter=1700&startAfterId=b");
  EXPECT_EQ(HighLevelSource().TotalIn(last, R"({"opportunities":[{}],"meta":{"total":41}})"), 41);
  EXPECT_EQ(HighLevelSource().TotalIn(last, R"({"opportunities":[{}],"meta":{"total":"41"}})"), 41);
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
  EXPECT_TRUE(PlanOf(last, none).empty()) << "that was the end";
  EXPECT_TRUE(PlanOf(last, Around(1'000, "a")).empty()) << "no record, and the same place again";
  // What is no answer to the question proves no end.
  for (const std::string& answer :
       {std::string("no JSON"), std::string(R"({"statusCode":500,"message":"x"})"), Next(999, "b"),
        Next(1'000, "a"), std::string(R"({"error":"timeout","opportunities":[],"meta":{}})"),
        std::string(R"({"opportunities":[],"meta":{"total":9},"error":{"code":7}})")}) {
    const auto planned =
        HighLevelSource().Plan(last, {}, answer, [](const NewTask&) { return Result<void>(); });
    ASSERT_FALSE(planned) << answer;
    EXPECT_EQ(planned.error().error_class, ErrorClass::kTransient) << answer;
  }
  // A record without a place to go on from is one all the same.
  EXPECT_EQ(PlanOf(last, R"({"opportunities":[{"id":"b"}],"meta":{"total":9}})").size(), 1U);
  // Those that came since the job began are asked for twice.
  for (int looks = 0; looks <= 2; ++looks) {
    TaskContext since = TaskOf({SelectorKind::kDiscover, 0, 0, fmt::format("total;1000;a;{}", looks)});
    since.now_ms = 2'000;
    EXPECT_EQ(PlanOf(since, Next(2'000, "b")).size(), looks < 2 ? 1U : 0U);
    const auto total = HighLevelSource().TotalIn(since, Next(2'000, "b"));
    EXPECT_EQ(total, looks < 2 ? std::optional<std::int64_t>(9) : std::nullopt)
        << "a total that counts records which are not read compares with nothing";
    EXPECT_EQ(HighLevelSource().TotalIn(since, Next(1'999, "b")), 9);
  }
  // One that was there: on from the same place, and not for ever.
  TaskContext rest = last;
  for (int looks = 1; looks <= 3; ++looks) {
    const auto tasks = PlanOf(last, Next(1'000, "b"));
    ASSERT_EQ(tasks.size(), 1U);
    rest = TaskOf(tasks[0].selector);
    EXPECT_EQ(RequestOf(rest).request.target,
              "/opportunities/"
              "search?location_id=LocNorth&order=added_asc&limit=100&startAfter=1000&startAfterId=a");
    EXPECT_EQ(FinishOf(rest, 100, Around(2'500, "c"))->next_key, "slice;;;2500;c");
    if (looks == 3) break;
    last = TaskOf(FinishOf(rest, 0, none)->successors.at(0).selector);
    last.now_ms = 2'000;
  }
  const auto given_up = FinishOf(rest, 0, none);
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().error_class, ErrorClass::kTransient);
}

// An error may come around an empty list: it tells neither an end nor a total.
TEST(HighLevelPlan, NothingCountsAsReadWithoutProofThatAnEmptyListIsNoError) {
  const char* error = R"({"error":"timeout","opportunities":[],"meta":{"total":0}})";
  for (const char* key : {"", "border;;1;2;3;4;;5;6", "total;1000;a;0", "total"}) {
    const TaskContext task = TaskOf({SelectorKind::kDiscover, 0, 0, key});
    const auto planned =
        HighLevelSource().Plan(task, {}, error, [](const NewTask&) { return Result<void>(); });
    ASSERT_FALSE(planned) << key;
    EXPECT_EQ(planned.error().error_class, ErrorClass::kTransient) << key;
    EXPECT_THAT(planned.error().message, HasSubstr("timeout"));
    EXPECT_EQ(HighLevelSource().TotalIn(task, error), std::nullopt) << key;
  }
  EXPECT_EQ(HighLevelSource().TotalIn(TaskOf(), R"({"error":null,"opportunities":[],"meta":{"total":3}})"),
            3);
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

TEST(HighLevelFinish, APageThatRepeatsItselfIsReadAgain) {
  const TaskContext task = TaskOf({SelectorKind::kCursor, 0, kNoBound, "slice;;;1000;b"});
  for (const auto& [after, id] : std::vector<std::pair<std::int64_t, const char*>>{{1000, "b"}, {999, "z"}}) {
    const auto end = FinishOf(task, 100, Around(after, id));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().error_class, ErrorClass::kTransient);
  }
  EXPECT_TRUE(FinishOf(task, 100, Around(1000, "c")));
  EXPECT_FALSE(FinishOf(task, 100, Around(1001, "c&x=1")));  // an id that could change the request
  EXPECT_FALSE(FinishOf(task, 100, "[]"));
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

// data_path.md, invariant 9: an error in the place of a record says that the page is not whole.
TEST(HighLevelMapper, NothingCountsAsReadWithoutProofThatWhatIsNoRecordIsNoError) {
  for (const char* stream : {"opportunities", "pipelines"}) {
    const auto mapper = HighLevelSource().NewMapper(stream);
    const auto head = [&](const char* raw) { return mapper->Head(PaddedRecord(raw).View()); };
    for (const char* raw : {R"({"error":"timeout"})", R"({"name":"x","error":"timeout"})",
                            R"({"statusCode":500,"message":"timeout"})"}) {
      const auto bad = head(raw);
      ASSERT_FALSE(bad) << raw;
      EXPECT_EQ(bad.error().error_class, ErrorClass::kTransient) << raw;
      EXPECT_THAT(bad.error().message, HasSubstr("timeout"));
    }
    EXPECT_EQ(head(R"({"name":"x"})").error().error_class, ErrorClass::kBadRecord);
    EXPECT_TRUE(head(R"({"id":"x","error":"of the record's"})"));
  }
  const auto planned =
      HighLevelSource().Plan(TaskOf({}, "pipelines"), {}, R"({"pipelines":[{"id":"a"},{"error":"timeout"}]})",
                             [](const NewTask&) { return Result<void>(); });
  ASSERT_FALSE(planned);
  EXPECT_EQ(planned.error().error_class, ErrorClass::kTransient);
}

TEST(HighLevelAccount, ALocationsIdKeepsItsCase) {
  const HighLevelSource source;
  EXPECT_EQ(source.AccountKey("ve9EPM428h8vShlRW1KT"), "ve9EPM428h8vShlRW1KT");
  for (const char* bad : {"", "a b", "a/b", "a&b"}) EXPECT_FALSE(source.AccountKey(bad)) << bad;
  EXPECT_EQ(source.Meter({"Loc", "Loc", {}, true}, Secret("t")), "highlevel:Loc");
}

}  // namespace
}  // namespace weir
