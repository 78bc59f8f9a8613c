#include "common/sources/chesscom/chesscom_source.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <span>

#include "common/base/embedded_file.h"
#include "common/base/time_text.h"
#include "common/sources/chesscom/archive_plan.h"
#include "common/sources/chesscom/game_mapper.h"
#include "common/sources/record_reader.h"
#include "common/sources/row_recorder.h"

namespace weir::embedded {
std::span<const EmbeddedFile> chesscom_fixtures();
}

namespace weir {
namespace {

// The fixture's archives: 2023/11, 2023/12, 2024/02, 2024/03; the last is not over.
const std::int64_t kNow = *ParseTime("2024-03-15T12:00:00Z");

std::string_view Fixture(std::string_view name) {
  for (const auto& file : embedded::chesscom_fixtures()) {
    if (file.path.ends_with(name)) return file.text;
  }
  ADD_FAILURE() << "no fixture " << name;
  return {};
}

TaskContext Context(JobMode mode = JobMode::kFull) {
  TaskContext task;
  task.stream = "games";
  task.account = {"Anna", "Anna", {}, false};
  task.mode = mode;
  task.now_ms = kNow;
  return task;
}

TaskContext MonthTask(std::string key, JobMode mode = JobMode::kFull) {
  TaskContext task = Context(mode);
  task.selector = {SelectorKind::kArchive, 0, 0, std::move(key)};
  return task;
}

Result<std::vector<NewTask>> PlanWith(const TaskContext& task, const AccountState& state,
                                      std::string_view document) {
  std::vector<NewTask> tasks;
  const auto planned = ChesscomSource().Plan(task, state, document, [&](NewTask t) -> Result<void> {
    EXPECT_EQ(t.selector.kind, SelectorKind::kArchive);
    tasks.push_back(std::move(t));
    return {};
  });
  if (!planned) return Fail(planned.error());
  return tasks;
}

std::vector<std::string> Keys(const TaskContext& task, const AccountState& state = {}) {
  std::vector<std::string> keys;
  const auto tasks = PlanWith(task, state, Fixture("archives.json"));
  EXPECT_TRUE(tasks.has_value());
  if (tasks) {
    for (const NewTask& t : *tasks) keys.push_back(t.selector.key);
  }
  return keys;
}

using Names = std::vector<std::string>;

std::string HeaderOf(const HttpRequest& request, std::string_view name) {
  for (const auto& header : request.headers) {
    if (header.name == name) return header.value;
  }
  return "";
}

// --- requests

TEST(ChesscomRequest, DiscoverAndMonth) {
  const ChesscomSource source;
  auto page = source.Request(Context());
  ASSERT_TRUE(page);
  EXPECT_EQ(page->format, BodyFormat::kDocument);
  EXPECT_EQ(page->request.target, "/pub/player/anna/games/archives");
  page = source.Request(MonthTask("2024/02"));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->format, BodyFormat::kJsonArray);
  EXPECT_EQ(page->record_path, "games");
  EXPECT_EQ(page->request.target, "/pub/player/anna/games/2024/02");
  EXPECT_EQ(source.Request(MonthTask("2024/02,2023/12"))->request.target, "/pub/player/anna/games/2024/02");
  for (const char* key : {"", "2024/13", "2024/00", "2024-02", "../x/02", "20240/2"}) {
    EXPECT_FALSE(source.Request(MonthTask(key)).has_value()) << key;
  }
}

TEST(ChesscomRequest, OnlyIncrementalIsConditional) {
  const ChesscomSource source;
  TaskContext task = MonthTask("2024/03", JobMode::kIncremental);
  EXPECT_EQ(HeaderOf(source.Request(task)->request, "If-None-Match"), "");
  task.archive = ArchiveState{"2024/03", "W/\"abc\"", "Fri, 15 Mar 2024 00:00:00 GMT", false};
  EXPECT_EQ(HeaderOf(source.Request(task)->request, "If-None-Match"), "W/\"abc\"");
  EXPECT_EQ(HeaderOf(source.Request(task)->request, "If-Modified-Since"), "");
  task.archive->etag = "a\r\nX-Evil: 1";
  EXPECT_EQ(HeaderOf(source.Request(task)->request, "If-None-Match"), "");
  task.archive->etag = "";
  EXPECT_EQ(HeaderOf(source.Request(task)->request, "If-Modified-Since"), "Fri, 15 Mar 2024 00:00:00 GMT");
  task.archive->key = "2024/02";
  EXPECT_EQ(source.Request(task)->request.headers.size(), 1U);
  task.archive = ArchiveState{"2024/03", "W/\"abc\"", "", true};
  task.mode = JobMode::kFull;
  EXPECT_EQ(HeaderOf(source.Request(task)->request, "If-None-Match"), "");
}

TEST(ChesscomAccount, KeyMeterSecretsRenames) {
  const ChesscomSource source;
  EXPECT_EQ(source.AccountKey("Hikaru"), "hikaru");
  EXPECT_EQ(source.AccountKey("a b").error().error_class, ErrorClass::kConfig);
  EXPECT_EQ(source.AccountKey("").error().error_class, ErrorClass::kConfig);
  EXPECT_EQ(source.Meter({}, Secret("x")), "chesscom");
  EXPECT_TRUE(source.SecretHeaders({{"token", Secret("x")}}).empty());
  EXPECT_EQ(source.RenamedTo("https://api.chess.com/pub/player/NewName/games/archives"), "newname");
  EXPECT_EQ(source.RenamedTo("/pub/player/new?x=1"), "new");
  for (const char* location : {"https://www.chess.com/", "/pub/player/", "/pub/player/a%20b/games", ""}) {
    EXPECT_EQ(source.RenamedTo(location), std::nullopt) << location;
  }
}

TEST(ChesscomJudge, GoneBlockedRenamed) {
  const ChesscomSource source;
  const auto error = [&](int status, std::string_view body) {
    return std::get<Error>(source.Judge(Context(), {status, {}}, body));
  };
  EXPECT_EQ(error(404, R"({"code":0,"message":"User \"x\" not found."})").error_class, ErrorClass::kGone);
  EXPECT_NE(error(404, R"({"code":0,"message":"User \"x\" not found."})").message.find("Anna"),
            std::string::npos);
  EXPECT_EQ(error(410, "").error_class, ErrorClass::kGone);
  EXPECT_EQ(error(403, "<html>").error_class, ErrorClass::kBlocked);
  EXPECT_EQ(error(429, "").error_class, ErrorClass::kThrottled);
  const Verdict moved = source.Judge(Context(), {301, {{"Location", "/pub/player/new/games/archives"}}}, "");
  EXPECT_TRUE(std::get<FollowTo>(moved).permanent);
}

// In its outages Chess.com answers 404 as well.
TEST(ChesscomJudge, OnlyNotFoundSaysThatSomethingIsNotThere) {
  const ChesscomSource source;
  for (const TaskContext& task : {Context(), MonthTask("2024/03")}) {
    const auto judge = [&](std::string_view body) {
      return std::get<Error>(source.Judge(task, {404, {}}, body));
    };
    EXPECT_EQ(judge(R"({"code":0,"message":"User \"x\" not found."})").error_class, ErrorClass::kGone);
    const Error outage = judge(R"({"code":0,"message":"An internal error has occurred. Please contact us"})");
    EXPECT_EQ(outage.error_class, ErrorClass::kTransient);
    EXPECT_EQ(outage.http_status, 404);
    EXPECT_NE(outage.message.find("An internal error has occurred"), std::string::npos) << outage.message;
    for (const char* body :
         {"", "{}", R"({"code":0})", "Service unavailable", R"({"code":0,"message":null})"}) {
      EXPECT_EQ(judge(body).error_class, ErrorClass::kTransient) << body;
    }
  }
}

// data_path.md, invariant 9.
TEST(ChesscomJudge, NothingCountsAsReadWithoutProofThatItWasAskedFor) {
  const ChesscomSource source;
  const HttpResponseHead unchanged{304, {{"ETag", "\"e\""}}};
  TaskContext task = MonthTask("2024/03", JobMode::kIncremental);
  const auto is_whole = [&] {
    return std::holds_alternative<NotModified>(source.Judge(task, unchanged, ""));
  };
  EXPECT_FALSE(is_whole()) << "nothing is stored that could be unchanged";
  task.archive = ArchiveState{"2024/03", "\"e\"", "", false};
  EXPECT_TRUE(is_whole());
  task.archive->key = "2024/02";
  EXPECT_FALSE(is_whole()) << "another month";
  task.archive = ArchiveState{"2024/03", "caf\xe9", "", false};
  EXPECT_FALSE(is_whole()) << "an ETag that cannot be sent";
  task.mode = JobMode::kFull;
  task.archive = ArchiveState{"2024/03", "\"e\"", "", false};
  EXPECT_FALSE(is_whole()) << "full asks unconditionally";
  task.selector = {};
  EXPECT_FALSE(is_whole()) << "the list of months";
}

// --- plans

TEST(ChesscomPlan, FullIsEveryMonthOldestFirst) {
  EXPECT_EQ(Keys(Context()), (Names{"2023/11", "2023/12", "2024/02", "2024/03"}));
  const AccountState state{{}, {{"2023/11", "", "", true}, {"2024/03", "e", "", true}}, {}};
  EXPECT_EQ(Keys(Context(), state).size(), 4U);
}

TEST(ChesscomPlan, IncrementalAsksOnlyForWhatCanHaveChanged) {
  const TaskContext task = Context(JobMode::kIncremental);
  EXPECT_EQ(Keys(task).size(), 4U);  // nothing stored: as full
  AccountState state;
  state.archives = {{"2023/11", "", "", true},
                    {"2023/12", "", "", true},
                    {"2024/02", "e", "", true},
                    {"2024/03", "e", "", false}};
  EXPECT_EQ(Keys(task, state), (Names{"2024/03"}));
  state.archives.pop_back();
  EXPECT_EQ(Keys(task, state), (Names{"2024/02", "2024/03"}));
  state.archives = {{"2023/12", "", "", false},
                    {"2024/03", "", "", false}};  // 2023/11 is older, 2024/02 a hole
  EXPECT_EQ(Keys(task, state), (Names{"2023/12", "2024/02", "2024/03"}));
  TaskContext since = task;
  since.filter.since_ms = 0;  // now the older one is asked for
  EXPECT_EQ(Keys(since, state), (Names{"2023/11", "2023/12", "2024/02", "2024/03"}));
}

TEST(ChesscomPlan, BoundsKeepOnlyOverlappingMonths) {
  TaskContext task = Context();
  task.filter.since_ms = *ParseTime("2023-12-31T23:59:59.999Z");
  task.filter.until_ms = *ParseTime("2024-03-01");
  EXPECT_EQ(Keys(task), (Names{"2023/12", "2024/02"}));
  task.filter.since_ms = *ParseTime("2024-01-01");
  task.filter.until_ms = *ParseTime("2024-03-01T00:00:00.001Z");
  EXPECT_EQ(Keys(task), (Names{"2024/02", "2024/03"}));
}

TEST(ChesscomPlan, LimitIsAChainNewestFirst) {
  TaskContext task = Context();
  task.filter.limit = 7;
  const auto tasks = PlanWith(task, {}, Fixture("archives.json"));
  ASSERT_TRUE(tasks);
  ASSERT_EQ(tasks->size(), 1U);
  EXPECT_EQ(tasks->at(0).selector.key, "2024/03,2024/02,2023/12,2023/11");
  EXPECT_EQ(tasks->at(0).budget, 7);
  AccountState state;
  state.archives = {{"2023/12", "", "", false}, {"2024/02", "", "", true}, {"2024/03", "", "", true}};
  EXPECT_EQ(Keys(task, state), (Names{"2024/03,2023/12,2023/11"}));
  task.filter.limit = 0;
  EXPECT_TRUE(Keys(task, state).empty());
}

TEST(ChesscomPlan, OnlyTheMonthOfAnArchivesAddressCounts) {
  const auto tasks = PlanWith(
      Context(), {},
      R"({"archives":["http://evil.example/x/2024\/01","https://api.chess.com/a/2023/01","y/2023/01"]})");
  ASSERT_TRUE(tasks);
  ASSERT_EQ(tasks->size(), 2U);  // sorted, each once
  EXPECT_EQ(tasks->at(0).selector.key, "2023/01");
  EXPECT_EQ(ChesscomSource().Request(MonthTask(tasks->at(1).selector.key))->request.target,
            "/pub/player/anna/games/2024/01");
}

TEST(ChesscomPlan, WhatIsNoListOfArchivesIsNoPlan) {
  std::string many = R"({"archives":[)";
  for (int i = 0; i < 2001; ++i) many += (i > 0 ? "," : "") + std::string(R"("/2023/01")");
  for (const std::string& document :
       {std::string(""), std::string("[]"), std::string("<html>"), std::string("{}"),
        std::string(R"({"archives":{}})"), std::string(R"({"archives":[5]})"),
        std::string(R"({"archives":["/2023/1"]})"), std::string(R"({"archives":["/2023/13"]})"),
        std::string(R"({"archives":["/2099/01"]})"), std::string(R"({"archives":["/0001/01"]})"),
        std::string(R"({"archives":["/2023/01\u0000"]})"), std::string(R"({"archives":["x2023/01"]})"),
        std::string(R"({"archives":["/2023/01"]} x)"), many + "]}",
        R"({"archives":[")" + std::string(2000, 'x') + R"(/2023/01"]})"}) {
    const auto tasks = PlanWith(Context(), {}, document);
    ASSERT_FALSE(tasks.has_value()) << document.substr(0, 60);
    EXPECT_TRUE(tasks.error().error_class == ErrorClass::kInvalid ||
                tasks.error().error_class == ErrorClass::kTransient)
        << document.substr(0, 60);
  }
  const auto none = PlanWith(Context(), {}, R"({"archives":[]})");
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
  const auto bad =
      PlanWith(Context(), {}, R"({"archives":["https://api.chess.com/pub/player/x/games/latest"]})");
  EXPECT_NE(bad.error().body_start.find("games/latest"), std::string::npos);
}

// --- what a month leaves

// data_path.md, invariant 9.
TEST(ChesscomPlan, NothingCountsAsReadWithoutProofThatTheListIsWhole) {
  for (const char* document :
       {R"({"archives":null})", R"({"code":0,"message":"An internal error has occurred"})", ""}) {
    const auto tasks = PlanWith(Context(), {}, document);
    ASSERT_FALSE(tasks.has_value()) << document;
    EXPECT_EQ(tasks.error().error_class, ErrorClass::kTransient) << document;
  }
}

TEST(ChesscomPlan, AnElementThatNamesNoMonthIsPassedOverWithADoubt) {
  for (const char* other :
       {R"("https://api.chess.com/x/1970/01")", R"("/2099/01")", R"("/latest")", "5", "{}"}) {
    const std::string document = R"({"archives":["/2023/01",)" + std::string(other) + R"(,"/2023/02/"]})";
    const auto tasks = PlanWith(Context(), {}, document);
    ASSERT_TRUE(tasks) << other;
    ASSERT_EQ(tasks->size(), 2U) << other;
    EXPECT_NE(tasks->at(0).doubt.find("1 archives name no month"), std::string::npos) << tasks->at(0).doubt;
    EXPECT_EQ(tasks->at(1).doubt, "");
    EXPECT_EQ(tasks->at(1).selector.key, "2023/02") << "a slash at its end does not matter";
  }
  EXPECT_EQ(PlanWith(Context(), {}, Fixture("archives.json"))->at(0).doubt, "");
}

TEST(ChesscomPlan, AnOlderMonthThatIsListedAfterAFullSyncIsAskedFor) {
  AccountState state;
  state.archives = {{"2023/12", "", "", true}, {"2024/02", "", "", true}, {"2024/03", "e", "", false}};
  const TaskContext task = Context(JobMode::kIncremental);
  EXPECT_EQ(Keys(task, state), (Names{"2024/03"}));
  state.full_sync_began_ms = kNow - 1000;
  EXPECT_EQ(Keys(task, state), (Names{"2023/11", "2024/03"}));
}

TEST(ChesscomJudge, AMonthThatIsNeitherListedNorFoundIsReadAndLeavesADoubt) {
  const ChesscomSource source;
  TaskContext task = MonthTask("2024/01");
  constexpr std::string_view kNotFound = R"({"code":0,"message":"Data provider not found"})";
  const auto absent = [&](int status, std::string_view body) {
    const Verdict verdict = source.Judge(task, {status, {}}, body);
    const auto* nothing = std::get_if<NotModified>(&verdict);
    return nothing != nullptr && nothing->absent;
  };
  EXPECT_FALSE(absent(404, kNotFound)) << "it is listed";
  task.selector.lo = 1;  // as AFullSyncAsksForAMonthThatIsNoLongerListed plans it
  EXPECT_TRUE(absent(404, kNotFound));
  EXPECT_TRUE(absent(410, ""));
  EXPECT_FALSE(absent(404, R"({"code":0,"message":"An internal error has occurred"})")) << "an outage";
  PageResult result;
  result.not_modified = true;
  task.archive = ArchiveState{"2024/01", "e", "", true};
  const auto end = source.FinishPage(task, result);
  ASSERT_TRUE(end && end->archive);
  EXPECT_NE(end->doubt, "");
  EXPECT_TRUE(end->archive->complete) << "what is stored of it stays";
  task.archive->complete = false;
  EXPECT_FALSE(source.FinishPage(task, result)->archive->complete);
}

// That it is gone from the list is no proof that it is gone: a sweep would rest on it.
TEST(ChesscomPlan, AFullSyncAsksForAMonthThatIsNoLongerListed) {
  AccountState state;
  state.archives = {{"2023/10", "", "", true}, {"2024/01", "", "", true}, {"2024/03", "e", "", true}};
  EXPECT_EQ(Keys(Context(), state),
            (Names{"2023/10", "2023/11", "2023/12", "2024/01", "2024/02", "2024/03"}));
  const auto tasks = PlanWith(Context(), state, Fixture("archives.json"));
  const auto finish = [&](std::size_t i) {
    TaskContext task = Context();
    task.selector = tasks->at(i).selector;
    return ChesscomSource().FinishPage(task, PageResult{});
  };
  EXPECT_EQ(finish(0)->doubt, "") << "not listed, and empty";
  EXPECT_NE(finish(1)->doubt, "") << "listed, and empty";
  EXPECT_EQ(Keys(Context(JobMode::kIncremental), state), (Names{"2023/11", "2023/12", "2024/02", "2024/03"}));
}

// data_path.md, invariant 9.
TEST(ChesscomFinish, NothingCountsAsReadWithoutProofThatTheGamesAreTheMonths) {
  const ChesscomSource source;
  const auto finish = [&](std::string_view first, std::string_view last) {
    PageResult result;
    result.records = 2;
    for (const std::string_view at : {first, last}) result.order_times.Add(*ParseTime(at));
    return source.FinishPage(MonthTask("2024/02"), result);
  };
  EXPECT_TRUE(finish("2024-02-01", "2024-02-29T23:59:59Z")->archive->complete);
  EXPECT_TRUE(finish("2024-01-31T16:00:00Z", "2024-03-01T08:00:00Z")->archive->complete)
      << "another time zone's month";
  for (const auto& other : {finish("2024-01-15", "2024-02-15"), finish("2024-02-15", "2024-03-15")}) {
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().error_class, ErrorClass::kTransient);
  }
}

TEST(ChesscomFinish, AFewGamesOfAnotherMonthLeaveADoubtAndMostOfThemAnError) {
  const ChesscomSource source;
  const HttpResponseHead head{200, {{"ETag", "W/\"1\""}}};
  const TaskContext task = MonthTask("2024/02");
  const auto finish = [&](std::initializer_list<std::string_view> times) {
    PageResult result;
    result.head = &head;
    result.records = static_cast<std::int64_t>(times.size());
    result.order_times.asked = source.Request(task)->times;
    for (const std::string_view at : times) result.order_times.Add(*ParseTime(at));
    result.first_order_ms = *ParseTime(*times.begin());
    return source.FinishPage(task, result);
  };
  for (const auto& end : {finish({"2024-02-03", "2023-06-01", "2024-02-05"}),
                          finish({"2023-06-01", "2024-02-03", "2024-02-05"}),
                          finish({"2024-02-03", "2024-02-05", "2024-06-01"})}) {
    ASSERT_TRUE(end && end->archive);
    EXPECT_EQ(end->doubt, "1 of 3 games listed in 2024/02 ended in another month");
    EXPECT_FALSE(end->archive->complete);
    EXPECT_EQ(end->archive->etag, "");
  }
  for (const auto& end : {finish({"2023-06-01"}), finish({"2024-02-03", "2023-06-01"}),
                          finish({"2024-01-02", "2024-02-02", "2024-02-03", "2024-02-04", "2024-03-09"})}) {
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().error_class, ErrorClass::kTransient);
  }
  EXPECT_EQ(finish({"2024-02-03", "2024-02-05"})->doubt, "");
}

TEST(ChesscomFinish, AMonthThatIsListedAndHoldsNothingIsCompleteWhenALaterJobFindsTheSame) {
  HttpResponseHead head{200, {{"ETag", "W/\"1\""}}};
  PageResult result;
  result.head = &head;
  TaskContext task = MonthTask("2024/02");
  auto end = ChesscomSource().FinishPage(task, result);
  ASSERT_TRUE(end && end->archive);
  EXPECT_FALSE(end->archive->complete);
  EXPECT_EQ(end->archive->etag, "W/\"1\"");
  EXPECT_NE(end->doubt, "");
  task.archive = end->archive;
  end = ChesscomSource().FinishPage(task, result);
  EXPECT_TRUE(end->archive->complete);
  EXPECT_EQ(end->doubt, "");
  head.headers[0].value = "W/\"2\"";
  EXPECT_FALSE(ChesscomSource().FinishPage(task, result)->archive->complete) << "another empty answer";
  head.headers[0].value = "W/\"1\"";
  task = MonthTask("2024/03");
  task.archive = ArchiveState{"2024/03", "W/\"1\"", "", false};
  EXPECT_FALSE(ChesscomSource().FinishPage(task, result)->archive->complete) << "the month is not over";
}

TEST(ChesscomFinish, WhatACacheKeptSinceBeforeTheMonthWasOverIsNotComplete) {
  HttpResponseHead head{200, {{"Date", "Thu, 14 Mar 2024 12:00:00 GMT"}}};
  PageResult result;
  result.head = &head;
  result.records = 1;
  const auto is_complete = [&] {
    return ChesscomSource().FinishPage(MonthTask("2024/02"), result)->archive->complete;
  };
  EXPECT_TRUE(is_complete());
  head.headers[0].value = "Fri, 01 Mar 2024 12:00:00 GMT";
  EXPECT_FALSE(is_complete()) << "our clock says 15 March";
  head.headers = {{"Date", "Sat, 02 Mar 2024 12:00:00 GMT"}, {"Age", "43200"}};
  EXPECT_TRUE(is_complete());
  head.headers[1].value = "43201";
  EXPECT_FALSE(is_complete());
}

TEST(ChesscomFinish, OnlyAnETagThatCanBeSentBackIsKept) {
  const HttpResponseHead head{200, {{"ETag", "caf\xc3\xa9"}, {"Last-Modified", std::string(600, 'x')}}};
  PageResult result;
  result.head = &head;
  result.records = 1;
  const auto end = ChesscomSource().FinishPage(MonthTask("2024/02"), result);
  ASSERT_TRUE(end && end->archive);
  EXPECT_EQ(end->archive->etag, "");
  EXPECT_EQ(end->archive->last_modified, "");
  EXPECT_TRUE(end->archive->complete);
}

TEST(ChesscomFinish, MonthThatIsOverAndReadWholeIsComplete) {
  const ChesscomSource source;
  const HttpResponseHead head{200, {{"ETag", "W/\"1\""}, {"Last-Modified", "Fri, 01 Mar 2024 00:00:00 GMT"}}};
  PageResult result;
  result.head = &head;
  result.records = 7;
  auto end = source.FinishPage(MonthTask("2024/02"), result);
  ASSERT_TRUE(end && end->archive);
  EXPECT_EQ(end->archive->key, "2024/02");
  EXPECT_EQ(end->archive->etag, "W/\"1\"");
  EXPECT_EQ(end->archive->last_modified, "Fri, 01 Mar 2024 00:00:00 GMT");
  EXPECT_TRUE(end->archive->complete);
  end = source.FinishPage(MonthTask("2024/03"), result);  // may still grow
  EXPECT_FALSE(end->archive->complete);
  EXPECT_EQ(end->archive->etag, "W/\"1\"");
  TaskContext early = MonthTask("2024/02");
  early.now_ms = *ParseTime("2024-03-01T23:00:00Z");  // late games may still come
  EXPECT_FALSE(source.FinishPage(early, result)->archive->complete);
}

TEST(ChesscomFinish, WhatWasCutIsNeitherCompleteNorAskedConditionally) {
  const ChesscomSource source;
  const HttpResponseHead head{200, {{"ETag", "W/\"1\""}}};
  PageResult result;
  result.head = &head;
  result.records = 7;
  TaskContext task = MonthTask("2024/02");
  task.filter.since_ms = *ParseTime("2024-02-02");
  auto end = source.FinishPage(task, result);
  EXPECT_FALSE(end->archive->complete);
  EXPECT_EQ(end->archive->etag, "");
  task.filter.since_ms = *ParseTime("2024-02-01");  // all of the month
  EXPECT_TRUE(source.FinishPage(task, result)->archive->complete);
  task.budget = 3;
  result.budget_spent = true;
  result.inserted = 3;
  end = source.FinishPage(task, result);
  EXPECT_FALSE(end->archive->complete);
  EXPECT_EQ(end->archive->etag, "");
}

TEST(ChesscomFinish, NotModifiedKeepsWhatIsStored) {
  PageResult result;
  result.not_modified = true;
  TaskContext task = MonthTask("2024/02", JobMode::kIncremental);
  task.archive = ArchiveState{"2024/02", "e", "l", false};
  auto end = ChesscomSource().FinishPage(task, result);
  EXPECT_EQ(end->archive->etag, "e");
  EXPECT_TRUE(end->archive->complete);  // read whole before, and over by now
  task = MonthTask("2024/03", JobMode::kIncremental);
  task.archive = ArchiveState{"2024/03", "e", "l", false};
  EXPECT_FALSE(ChesscomSource().FinishPage(task, result)->archive->complete);
}

TEST(ChesscomFinish, ChainGoesOnWhileTheBudgetLasts) {
  TaskContext task = MonthTask("2024/03,2024/02,2023/12");
  task.budget = 10;
  PageResult result;
  result.inserted = 4;
  auto end = ChesscomSource().FinishPage(task, result);
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector, (Selector{SelectorKind::kArchive, 0, 0, "2024/02,2023/12"}));
  EXPECT_EQ(end->successors[0].budget, 6);
  EXPECT_EQ(end->archive->key, "2024/03");
  result.budget_spent = true;
  result.inserted = 10;
  EXPECT_TRUE(ChesscomSource().FinishPage(task, result)->successors.empty());
  task.selector.key = "2023/12";
  EXPECT_TRUE(ChesscomSource().FinishPage(task, PageResult{})->successors.empty());
}

// --- records

struct Mapped {
  RecordHead head;
  std::map<std::string, std::string, std::less<>> row;
};

Result<Mapped> MapRecord(std::string_view raw) {
  const auto mapper = ChesscomSource().NewMapper("games");
  const PaddedRecord record(raw);
  auto head = mapper->Head(record.View());
  if (!head) return Fail(head.error());
  RowRecorder row;
  if (auto notes = mapper->Map(record.View(), row); !notes) return Fail(notes.error());
  EXPECT_EQ(row.values.size(), chesscom::GameColumns().size());
  return Mapped{*head, row.ByColumn(chesscom::GameColumns())};
}

void ExpectRow(const Mapped& game, const std::map<std::string, std::string>& expected) {
  for (const auto& [column, value] : expected) {
    ASSERT_TRUE(game.row.count(column)) << column;
    EXPECT_EQ(game.row.at(column), value) << game.head.id << " " << column;
  }
}

std::vector<Mapped> MapFixture() {
  std::vector<Mapped> games;
  const auto reader = NewJsonArrayReader("games", {}, [&](std::string_view raw, bool) -> Result<bool> {
    auto mapped = MapRecord(raw);
    if (!mapped) return Fail(mapped.error());
    games.push_back(std::move(*mapped));
    return true;
  });
  EXPECT_TRUE(reader->Feed(Fixture("month.json")).has_value());
  EXPECT_TRUE(reader->End().has_value());
  EXPECT_EQ(games.size(), 3U);
  games.resize(3);
  return games;
}

TEST(ChesscomMapper, LiveGame) {
  const Mapped game = MapFixture()[0];
  EXPECT_EQ(game.head.id, "0f0f0f0f-0000-11ee-8000-000000000001");
  EXPECT_EQ(game.head.order_ms, 1'709'300'000'000);
  ExpectRow(game, {{"end_time", "time:1709300000000"},
                   {"start_time", "null"},
                   {"rated", "bool:true"},
                   {"rules", "text:chess"},
                   {"time_class", "text:blitz"},
                   {"time_control", "text:180+2"},
                   {"white_name", "text:Anna"},
                   {"white_rating", "int:2411"},
                   {"white_result", "text:win"},
                   {"black_name", "text:Boris"},
                   {"black_rating", "int:2398"},
                   {"black_result", "text:checkmated"},
                   {"winner", "text:white"},
                   {"result", "text:1-0"},
                   {"eco", "text:C50"},
                   {"opening", "text:Italian Game Knight Attack 3.Qh5"},
                   {"eco_url", "text:https://www.chess.com/openings/Italian-Game-Knight-Attack-3.Qh5"},
                   {"moves", "text:e4 e5 Bc4 Nc6 Qh5 Nf6 Qxf7#"},
                   {"fen", "text:r1bqkb1r/pppp1Qpp/2n2n2/4p3/2B1P3/8/PPPP1PPP/RNB1K1NR b KQkq -"},
                   {"clock_initial", "int:180"},
                   {"clock_increment", "int:2"},
                   {"days_per_turn", "null"},
                   {"accuracy_white", "number:98.27"},
                   {"accuracy_black", "number:61.5"},
                   {"tournament", "null"},
                   {"match", "null"},
                   {"url", "text:https://www.chess.com/game/live/1001"}});
  EXPECT_TRUE(game.row.at("pgn").starts_with("text:[Event \"Live Chess\"]\n"));
}

TEST(ChesscomMapper, DailyAndTeamGames) {
  const auto games = MapFixture();
  EXPECT_EQ(games[1].head.id, "https://www.chess.com/game/daily/1002");  // no uuid
  ExpectRow(games[1], {{"start_time", "time:1708000000000"},
                       {"rules", "text:chess960"},
                       {"winner", "null"},
                       {"result", "text:1/2-1/2"},
                       {"clock_initial", "null"},
                       {"days_per_turn", "int:3"},
                       {"moves", "null"},
                       {"pgn", "null"},
                       {"eco", "null"},
                       {"opening", "null"},
                       {"tournament", "text:https://api.chess.com/pub/tournament/t"},
                       {"match", "text:https://api.chess.com/pub/match/7"}});
  ExpectRow(games[2], {{"winner", "text:black"},
                       {"result", "text:0-1"},
                       {"clock_initial", "int:600"},
                       {"clock_increment", "int:0"},
                       {"accuracy_white", "null"},
                       {"accuracy_black", "null"}});
}

TEST(ChesscomMapper, NeedsAnIdAndNothingElse) {
  const auto game =
      MapRecord(R"({"url":"u","white":"x","end_time":"late","time_control":"?","pgn":7,"eco":5})");
  ASSERT_TRUE(game);
  EXPECT_EQ(game->head.id, "u");
  EXPECT_EQ(game->head.order_ms, 0);
  for (const auto& [column, value] : game->row) {
    if (column != "url" && column != "time_control") {
      EXPECT_EQ(value, "null") << column;
    }
  }
  for (const char* raw : {"{}", R"({"uuid":"","url":5})", "null", R"({"uuid":"a\nb"})", "{"}) {
    const auto bad = MapRecord(raw);
    ASSERT_FALSE(bad.has_value()) << raw;
    EXPECT_EQ(bad.error().error_class, ErrorClass::kBadRecord);
  }
}

// data_path.md, invariant 9: an error in the place of a game says that the month is not whole.
TEST(ChesscomMapper, NothingCountsAsReadWithoutProofThatWhatIsNoGameIsNoError) {
  for (const char* raw :
       {R"({"error":"timeout"})", R"({"end_time":1709300000,"error":{"message":"timeout"}})",
        R"({"message":"timeout","code":0})"}) {
    const auto bad = MapRecord(raw);
    ASSERT_FALSE(bad.has_value()) << raw;
    EXPECT_EQ(bad.error().error_class, ErrorClass::kTransient);
    EXPECT_NE(bad.error().message.find("timeout"), std::string::npos);
  }
  EXPECT_TRUE(MapRecord(R"({"error":"of the game's","uuid":"u"})")) << "what has an id is a game";
  const auto list = chesscom::ParseArchives(
      R"({"archives":["https://x/pub/player/a/games/2023/03",{"error":"timeout"}]})", 1'709'300'000'000);
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().error_class, ErrorClass::kTransient);
}

TEST(ChesscomMapper, PoisonIsABadRecord) {
  for (const std::string& extra :
       {std::string(R"("\u0000")"), std::string(R"("\udc00")"), std::string("\"\xc3\x28\""),
        std::string("1e131000"), std::string(100'000, '[') + std::string(100'000, ']')}) {
    const auto bad = MapRecord(R"({"uuid":"x","end_time":1709300000,"pgn":)" + extra + "}");
    ASSERT_FALSE(bad.has_value()) << extra.substr(0, 20);
    EXPECT_EQ(bad.error().error_class, ErrorClass::kBadRecord);
  }
}

TEST(ChesscomMapper, TimeControls) {
  const auto control = [](std::string_view text) { return chesscom::ParseTimeControl(text); };
  EXPECT_EQ(control("1/86400").days_per_turn, 1);
  EXPECT_FALSE(control("1/60").days_per_turn);
  EXPECT_FALSE(control("1/60").initial_s);
  EXPECT_EQ(control("60+1").increment_s, 1);
  for (const char* text : {"", "-", "x+2", "+", "-5+1"}) EXPECT_FALSE(control(text).initial_s) << text;
}

TEST(ChesscomEstimate, AMonthIsARequestAndALimitTakesOnlyTheMonthsItNeeds) {
  const auto archive = [](std::string key, std::optional<std::int64_t> budget = std::nullopt) {
    return NewTask{{SelectorKind::kArchive, 0, 0, std::move(key)}, budget};
  };
  const auto full = chesscom::EstimateTasks({archive("2023/01"), archive("2023/02")});
  EXPECT_EQ(full.requests, 2);
  EXPECT_FALSE(full.records);
  EXPECT_EQ(full.time, std::chrono::milliseconds(1'400));
  EXPECT_EQ(chesscom::EstimateTasks({archive("2023/03,2023/02,2023/01", 60)}).requests, 2);
  EXPECT_EQ(chesscom::EstimateTasks({archive("2023/03,2023/02,2023/01", 5000)}).requests, 3);
}

}  // namespace
}  // namespace weir
