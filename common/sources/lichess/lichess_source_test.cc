#include "common/sources/lichess/lichess_source.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <span>

#include "common/base/embedded_file.h"
#include "common/base/time_text.h"
#include "common/sources/lichess/lichess_plan.h"
#include "common/sources/record_reader.h"
#include "common/sources/row_recorder.h"

namespace weir::embedded {
std::span<const EmbeddedFile> lichess_fixtures();
}

namespace weir {
namespace {

constexpr std::int64_t kBorn = 1'600'000'000'000;  // as in fixtures/user.json
constexpr std::int64_t kNow = 1'700'100'000'000;

std::string_view Fixture(std::string_view name) {
  for (const auto& file : embedded::lichess_fixtures()) {
    if (file.path.ends_with(name)) return file.text;
  }
  ADD_FAILURE() << "no fixture " << name;
  return {};
}

TaskContext Context(JobMode mode = JobMode::kFull) {
  TaskContext task;
  task.stream = "games";
  task.account = {"Anna_K", "Anna_K", {}, false};
  task.mode = mode;
  task.now_ms = kNow;
  return task;
}

TaskContext TaskOf(SelectorKind kind, std::int64_t lo, std::int64_t hi, std::string key = "") {
  TaskContext task = Context();
  task.selector = {kind, lo, hi, std::move(key)};
  return task;
}

Result<std::vector<NewTask>> PlanWith(const TaskContext& task, const AccountState& state,
                                      std::string_view document = Fixture("user.json")) {
  std::vector<NewTask> tasks;
  const auto planned = LichessSource().Plan(task, state, document, [&](NewTask t) -> Result<void> {
    tasks.push_back(std::move(t));
    return {};
  });
  if (!planned) return Fail(planned.error());
  return tasks;
}

std::vector<NewTask> PlanOf(const TaskContext& task, const AccountState& state = {}) {
  auto tasks = PlanWith(task, state);
  EXPECT_TRUE(tasks.has_value());
  return tasks.value_or(std::vector<NewTask>{});
}

// The tasks are windows which cover exactly [lo, hi), in order, without gap or overlap.
void ExpectWindowsCover(const std::vector<NewTask>& tasks, std::int64_t lo, std::int64_t hi) {
  for (const NewTask& task : tasks) {
    EXPECT_EQ(task.selector.kind, SelectorKind::kWindow);
    EXPECT_FALSE(task.budget);
    EXPECT_EQ(task.selector.lo, lo);
    EXPECT_LT(task.selector.lo, task.selector.hi);
    lo = task.selector.hi;
  }
  EXPECT_EQ(lo, hi);
}

// --- requests

TEST(LichessRequest, Discover) {
  const auto page = LichessSource().Request(Context());
  ASSERT_TRUE(page);
  EXPECT_EQ(page->format, BodyFormat::kDocument);
  EXPECT_EQ(page->request.method, "GET");
  EXPECT_EQ(page->request.target, "/api/user/Anna_K");
}

TEST(LichessRequest, Window) {
  const auto page = LichessSource().Request(TaskOf(SelectorKind::kWindow, kBorn, kNow));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->format, BodyFormat::kNdjson);
  EXPECT_EQ(
      page->request.target,
      "/api/games/user/Anna_K?since=1600000000000&until=1700100000000&sort=dateAsc&ongoing=true&finished=true"
      "&opening=true");
  ASSERT_EQ(page->request.headers.size(), 1U);
  EXPECT_EQ(page->request.headers[0].name, "Accept");
  EXPECT_EQ(page->request.headers[0].value, "application/x-ndjson");
}

// No `since` may be below 2013, and there are older games.
TEST(LichessRequest, ARangeFromTheUpstreamsMinimumHasNoSince) {
  for (const SelectorKind kind : {SelectorKind::kWindow, SelectorKind::kNewest}) {
    for (const std::int64_t lo : {std::int64_t{0}, lichess::kEarliestMs}) {
      TaskContext task = TaskOf(kind, lo, kNow);
      task.budget = 5;
      const auto page = LichessSource().Request(task);
      ASSERT_TRUE(page);
      EXPECT_EQ(page->request.target.find("since"), std::string::npos) << page->request.target;
      EXPECT_NE(page->request.target.find("?until=1700100000000&"), std::string::npos)
          << page->request.target;
    }
  }
  const auto later = LichessSource().Request(TaskOf(SelectorKind::kWindow, lichess::kEarliestMs + 1, kNow));
  EXPECT_NE(later->request.target.find("since=1356998400071&"), std::string::npos);
}

TEST(LichessPlan, TheFirstWindowOfAnAccountOlderThanTheMinimumReadsOlderGamesToo) {
  const auto tasks =
      PlanWith(Context(), {}, R"({"id":"anna_k","createdAt":1290415680000,"count":{"all":3}})");
  ASSERT_TRUE(tasks);
  ASSERT_EQ(tasks->size(), 1U);
  const TaskContext window =
      TaskOf(SelectorKind::kWindow, tasks->at(0).selector.lo, tasks->at(0).selector.hi);
  EXPECT_EQ(LichessSource().Request(window)->request.target.find("since"), std::string::npos);
  PageResult old;
  old.order_times.Add(1'300'000'000'000);
  old.order_times.Add(1'400'000'000'000);
  EXPECT_TRUE(LichessSource().FinishPage(window, old)) << "a game of 2011";
}

TEST(LichessRequest, NeverTheFiltersOfTheOtherIndex) {
  TaskContext task = TaskOf(SelectorKind::kWindow, kBorn, kNow);
  for (const char* flag : {"clocks", "evals", "accuracy", "division", "pgn_in_json", "last_fen"}) {
    task.account.params[flag] = "true";
  }
  task.account.params["moves"] = "false";
  task.account.params["opening"] = "false";
  const auto page = LichessSource().Request(task);
  ASSERT_TRUE(page);
  EXPECT_TRUE(
      page->request.target.ends_with("&ongoing=true&finished=true&moves=false&clocks=true&evals=true"
                                     "&accuracy=true&division=true&pgnInJson=true&lastFen=true"))
      << page->request.target;
  for (const char* filter : {"perfType", "analysed", "color", "rated"}) {
    EXPECT_EQ(page->request.target.find(filter), std::string::npos);
  }
  task.account.params["clocks"] = "maybe";
  EXPECT_EQ(LichessSource().Request(task).error().error_class, ErrorClass::kConfig);
}

TEST(LichessRequest, NewestAsksForItsBudget) {
  TaskContext task = TaskOf(SelectorKind::kNewest, kBorn, kNow);
  task.budget = 25;
  EXPECT_NE(LichessSource().Request(task)->request.target.find("&sort=dateDesc&max=25&"), std::string::npos);
  task.selector.key = "tie";  // and for one known record more
  EXPECT_NE(LichessSource().Request(task)->request.target.find("&sort=dateDesc&max=26&"), std::string::npos);
  task.budget.reset();
  EXPECT_FALSE(LichessSource().Request(task));
}

TEST(LichessRequest, Ids) {
  const auto page = LichessSource().Request(TaskOf(SelectorKind::kIds, 0, 0, "aaaaaaaa,bbbbbbbb"));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->request.method, "POST");
  EXPECT_EQ(page->request.target, "/api/games/export/_ids?opening=true");
  EXPECT_EQ(page->request.body, "aaaaaaaa,bbbbbbbb");
  EXPECT_EQ(page->request.headers[1].value, "text/plain");
}

TEST(LichessRequest, IdsThatAreAskedForAgainAreSentAlike) {
  EXPECT_EQ(
      LichessSource().Request(TaskOf(SelectorKind::kIds, 0, 0, "again:aaaaaaaa,bbbbbbbb"))->request.body,
      "aaaaaaaa,bbbbbbbb");
}

TEST(LichessRequest, NameIsEncoded) {
  TaskContext task = Context();
  task.account.canonical = "../x?y";
  EXPECT_EQ(LichessSource().Request(task)->request.target, "/api/user/..%2Fx%3Fy");
}

// --- accounts, meters, secrets

TEST(LichessAccount, KeyIgnoresCase) {
  EXPECT_EQ(LichessSource().AccountKey("DrNykterstein"), "drnykterstein");
  for (const char* name : {"", "x", "a b", "a/b", "\xc3\xa9\xc3\xa9", "0123456789012345678901234567890"}) {
    const auto key = LichessSource().AccountKey(name);
    ASSERT_FALSE(key.has_value()) << name;
    EXPECT_EQ(key.error().error_class, ErrorClass::kConfig);
    EXPECT_FALSE(key.error().hint.empty());
  }
}

TEST(LichessAccount, MeterIsTheTokensAndHidesIt) {
  const LichessSource source;
  EXPECT_EQ(source.Meter({}, Secret()), "lichess:anonymous");
  const std::string meter = source.Meter({}, Secret("lip_abc"));
  EXPECT_EQ(meter.size(), std::string("lichess:token:").size() + 12);
  EXPECT_EQ(meter.find("lip_abc"), std::string::npos);
  EXPECT_EQ(meter, source.Meter({"other", "other", {}, true}, Secret("lip_abc")));
  EXPECT_NE(meter, source.Meter({}, Secret("lip_abd")));
  const auto headers = source.SecretHeaders({{"token", Secret("lip_abc")}});
  ASSERT_EQ(headers.size(), 1U);
  EXPECT_EQ(headers[0].first, "Authorization");
  EXPECT_EQ(headers[0].second.Reveal(), "Bearer lip_abc");
  EXPECT_TRUE(source.SecretHeaders({}).empty());
}

TEST(LichessJudge, UnknownPlayerIsGoneAndAWebPageIsBlocked) {
  const LichessSource source;
  const Verdict gone =
      source.Judge(Context(), {404, {{"Content-Type", "application/json"}}}, "{\"error\":\"Not found.\"}");
  EXPECT_EQ(std::get<Error>(gone).error_class, ErrorClass::kGone);
  EXPECT_NE(std::get<Error>(gone).message.find("Anna_K"), std::string::npos);
  const Verdict blocked = source.Judge(Context(), {404, {{"Content-Type", "text/html"}}}, "<html>");
  EXPECT_EQ(std::get<Error>(blocked).error_class, ErrorClass::kBlocked);
  EXPECT_NE(std::get<Error>(blocked).hint.find("user_agent"), std::string::npos);
}

// data_path.md, invariant 9: nothing is ever asked conditionally.
TEST(LichessJudge, NothingCountsAsReadWithoutProofThatItIsAllThatWasAsked) {
  for (const TaskContext& task : {Context(), TaskOf(SelectorKind::kWindow, kBorn, kNow),
                                  TaskOf(SelectorKind::kIds, 0, 0, "aaaaaaaa")}) {
    for (const int status : {201, 202, 204, 206, 304}) {
      const Verdict verdict = LichessSource().Judge(task, {status, {}}, "");
      ASSERT_TRUE(std::holds_alternative<Error>(verdict)) << status;
      EXPECT_EQ(std::get<Error>(verdict).error_class, ErrorClass::kTransient) << status;
    }
  }
}

// The games prove themselves, whatever a proxy calls them; PGN and web pages hold none that can be read.
TEST(LichessJudge, GamesOfAnyTypeAreReadButForPgnAndWebPages) {
  const auto judge = [](const TaskContext& task, std::string type) {
    return LichessSource().Judge(task, {200, {{"Content-Type", std::move(type)}}}, "");
  };
  for (const SelectorKind kind : {SelectorKind::kWindow, SelectorKind::kNewest, SelectorKind::kIds}) {
    const TaskContext task = TaskOf(kind, kBorn, kNow);
    for (const char* type : {"application/x-ndjson", "application/x-ndjson; charset=utf-8", "text/plain",
                             "application/octet-stream", "application/json"})
      EXPECT_TRUE(std::holds_alternative<ReadBody>(judge(task, type))) << type;
    EXPECT_TRUE(std::holds_alternative<ReadBody>(LichessSource().Judge(task, {200, {}}, "")));
    for (const char* type : {"application/x-chess-pgn", "text/html"}) {
      const Verdict verdict = judge(task, type);
      ASSERT_TRUE(std::holds_alternative<Error>(verdict)) << type;
      EXPECT_EQ(std::get<Error>(verdict).error_class, ErrorClass::kTransient) << type;
    }
  }
  EXPECT_TRUE(std::holds_alternative<ReadBody>(judge(Context(), "application/json"))) << "the player";
}

// --- plans

TEST(LichessPlan, FullIsWindowsSizedFromTheCount) {
  const auto tasks = PlanOf(Context());
  EXPECT_EQ(tasks.size(), 3U);  // ceil(2500 / 1000)
  ExpectWindowsCover(tasks, kBorn, kNow);
}

TEST(LichessPlan, FullAsksForAllWhateverIsStored) {
  const AccountState state{{{kBorn, kNow}}, {}, {"aaaaaaaa"}};
  const auto tasks = PlanOf(Context(), state);
  ExpectWindowsCover(tasks, kBorn, kNow);
}

TEST(LichessPlan, BoundsScaleTheCount) {
  TaskContext task = Context();
  task.account.params["window_games"] = "100";
  task.filter.since_ms = kBorn + (kNow - kBorn) / 2;
  auto tasks = PlanOf(task);
  EXPECT_EQ(tasks.size(), 13U);  // half of 2500
  ExpectWindowsCover(tasks, *task.filter.since_ms, kNow);
  task.filter.until_ms = *task.filter.since_ms + 1000;
  tasks = PlanOf(task);
  EXPECT_EQ(tasks.size(), 1U);
  ExpectWindowsCover(tasks, *task.filter.since_ms, *task.filter.until_ms);
  task.filter = {0, kBorn - 1, std::nullopt};
  EXPECT_TRUE(PlanOf(task).empty());
}

TEST(LichessPlan, WithoutAUsableCountThereIsOneWindow) {
  for (const char* document : {R"({"id":"anna_k","createdAt":1600000000000})",
                               R"({"id":"anna_k","createdAt":1600000000000,"count":{"all":0}})",
                               R"({"id":"anna_k","createdAt":1600000000000,"count":{"all":-3}})",
                               R"({"id":"anna_k","createdAt":1600000000000,"count":{"all":"many"}})"}) {
    const auto tasks = PlanWith(Context(), {}, document);
    ASSERT_TRUE(tasks);
    EXPECT_EQ(tasks->size(), 1U);
    ExpectWindowsCover(*tasks, kBorn, kNow);
  }
  const auto unborn = PlanWith(Context(), {}, R"({"id":"anna_k","count":{"all":5}})");
  ASSERT_TRUE(unborn);
  ExpectWindowsCover(*unborn, lichess::kEarliestMs, kNow);
}

TEST(LichessPlan, AbsurdCountIsBounded) {
  const auto tasks =
      PlanWith(Context(), {}, R"({"id":"anna_k","createdAt":1,"count":{"all":9223372036854775807}})");
  ASSERT_TRUE(tasks);
  EXPECT_EQ(tasks->size(), 10'000U);
  ExpectWindowsCover(*tasks, lichess::kEarliestMs, kNow);
}

TEST(LichessPlan, IncrementalAsksOnlyForWhatWasNotRead) {
  AccountState state;
  state.read = {{kBorn + 1000, kBorn + 5000}, {kBorn + 9000, kNow - 60'000}};
  for (int i = 0; i < 301; ++i) state.watched.push_back("game" + std::to_string(1000 + i));
  state.watched.push_back("no,list");
  const auto tasks = PlanOf(Context(JobMode::kIncremental), state);
  ASSERT_EQ(tasks.size(), 4U);
  EXPECT_EQ(tasks[0].selector, (Selector{SelectorKind::kWindow, kBorn + 5000, kBorn + 9000, ""}));
  EXPECT_EQ(tasks[1].selector, (Selector{SelectorKind::kWindow, kNow - 60'000, kNow, ""}));
  EXPECT_EQ(tasks[2].selector.kind, SelectorKind::kIds);
  EXPECT_EQ(std::count(tasks[2].selector.key.begin(), tasks[2].selector.key.end(), ','), 299);
  EXPECT_EQ(tasks[3].selector, (Selector{SelectorKind::kIds, 0, 0, "game1300"}));
}

TEST(LichessPlan, IncrementalReadsOlderHistoryOnlyIfAsked) {
  const AccountState state{{{kNow - 10'000, kNow}}, {}, {}};
  TaskContext task = Context(JobMode::kIncremental);
  EXPECT_TRUE(PlanOf(task, state).empty());
  task.filter.since_ms = kBorn;
  ExpectWindowsCover(PlanOf(task, state), kBorn, kNow - 10'000);
  EXPECT_EQ(PlanOf(Context(JobMode::kIncremental)).size(), 3U);  // nothing read yet: as full
}

TEST(LichessPlan, LimitIsAChainOverTheHolesNewestFirst) {
  TaskContext task = Context();
  task.filter.limit = 50;
  auto tasks = PlanOf(task);
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_EQ(tasks[0].selector, (Selector{SelectorKind::kNewest, kBorn, kNow, ""}));
  EXPECT_EQ(tasks[0].budget, 50);
  AccountState state;
  state.read = {{kBorn + 100, kBorn + 200}, {kBorn + 500, kNow - 60'000}};
  tasks = PlanOf(task, state);
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_EQ(tasks[0].selector.lo, kNow - 60'000);
  EXPECT_EQ(tasks[0].selector.hi, kNow);
  EXPECT_EQ(tasks[0].selector.key, "1600000000200-1600000000500,1600000000000-1600000000100");
}

TEST(LichessPlan, NoUserOrAClosedOneIsNoPlan) {
  EXPECT_EQ(PlanWith(Context(), {}, "<html>").error().error_class, ErrorClass::kTransient);
  const auto closed = PlanWith(Context(), {}, R"({"id":"anna_k","username":"Anna_K","disabled":true})");
  ASSERT_FALSE(closed.has_value());
  EXPECT_EQ(closed.error().error_class, ErrorClass::kGone);
  EXPECT_NE(closed.error().message.find("Anna_K"), std::string::npos);
}

// data_path.md, invariant 9.
TEST(LichessPlan, NothingCountsAsReadWithoutProofThatTheUserIsTheOneAskedFor) {
  for (const char* document : {"", "[]", "{}", R"({"id":5})", R"({"id":"anna_k")", R"({"id":"\u0000"})",
                               R"({"error":"Not now."})", R"({"id":"boris","createdAt":1600000000000})"}) {
    const auto tasks = PlanWith(Context(), {}, document);
    ASSERT_FALSE(tasks.has_value()) << document;
    EXPECT_EQ(tasks.error().error_class, ErrorClass::kTransient) << document;
  }
  EXPECT_NE(PlanWith(Context(), {}, R"({"error":"Not now."})").error().message.find("Not now."),
            std::string::npos);
  EXPECT_TRUE(PlanWith(Context(), {}, "\xEF\xBB\xBF{\"id\":\"anna_k\"}")) << "a byte order mark";
}

TEST(LichessEstimateIn, IsTheCountOfAFullSyncOfEverything) {
  const LichessSource source;
  EXPECT_EQ(source.EstimateIn(Context(), Fixture("user.json")), 2500);
  EXPECT_EQ(source.TotalIn(Context(), Fixture("user.json")), std::nullopt) << "nothing may rest on it";
  EXPECT_EQ(source.EstimateIn(Context(JobMode::kIncremental), Fixture("user.json")), std::nullopt);
  TaskContext bounded = Context();
  bounded.filter.since_ms = kBorn;
  EXPECT_EQ(source.EstimateIn(bounded, Fixture("user.json")), std::nullopt);
  bounded.filter = {};
  bounded.filter.limit = 5;
  EXPECT_EQ(source.EstimateIn(bounded, Fixture("user.json")), std::nullopt);
  for (const char* document : {"", R"({"id":"anna_k"})", R"({"id":"anna_k","count":{"all":-1}})"}) {
    EXPECT_EQ(source.EstimateIn(Context(), document), std::nullopt) << document;
  }
}

// --- what a page leaves

PageResult Times(std::initializer_list<std::int64_t> times) {
  PageResult result;
  result.records = result.inserted = static_cast<std::int64_t>(times.size());
  for (const std::int64_t at : times) {
    result.order_times.Add(at);
    result.last_order_ms = at;
  }
  return result;
}

// No `until` may be below 2013 either: what is older comes whole, and the filter drops the rest.
TEST(LichessPlan, ASyncThatEndsBefore2013ReadsWhatIsOlder) {
  const std::int64_t born = 1'290'415'680'000, until = *ParseTime("2012-06-01T00:00:00Z");
  const std::string old = R"({"id":"anna_k","createdAt":1290415680000,"count":{"all":3}})";
  const std::string ageless = R"({"id":"anna_k","count":{"all":3}})";
  TaskContext task = Context();
  task.filter.until_ms = until;
  const auto plan = [&](const std::string& user, const AccountState& state = {}) {
    return PlanWith(task, state, user).value_or(std::vector<NewTask>(9));
  };
  auto tasks = plan(old);
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_EQ(tasks[0].selector, (Selector{SelectorKind::kWindow, born, lichess::kEarliestMs, ""}));
  TaskContext window = TaskOf(SelectorKind::kWindow, born, lichess::kEarliestMs);
  EXPECT_NE(LichessSource().Request(window)->request.target.find("?until=1356998400070&sort=dateAsc"),
            std::string::npos);
  const auto read = LichessSource().FinishPage(window, Times({until - 5, until + 5}));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->read.empty()) << "the filter has dropped some of it";
  EXPECT_EQ(LichessSource().FinishPage(window, {})->successors.size(), 1U) << "once more";
  EXPECT_EQ(plan(ageless).size(), 1U);
  EXPECT_EQ(plan(R"({"id":"anna_k","createdAt":1600000000000})").size(), 0U) << "there was no account yet";
  task.filter.since_ms = until + 1;
  EXPECT_EQ(plan(old).size(), 0U);
  task.filter.since_ms = born;
  EXPECT_EQ(plan(old).size(), 1U);
  // The newest of it: no `max`, since the filter may drop what comes first.
  task.filter.limit = 2;
  tasks = plan(old);
  ASSERT_EQ(tasks.size(), 1U);
  EXPECT_EQ(tasks[0].selector, (Selector{SelectorKind::kNewest, born, lichess::kEarliestMs, ""}));
  TaskContext newest = TaskOf(SelectorKind::kNewest, born, lichess::kEarliestMs);
  newest.budget = tasks[0].budget;
  const std::string target = LichessSource().Request(newest)->request.target;
  EXPECT_EQ(target.find("max="), std::string::npos) << target;
  EXPECT_NE(target.find("sort=dateDesc"), std::string::npos) << target;
  PageResult page = Times({until + 5, until - 5, until - 6});
  page.budget_spent = true;
  const auto end = LichessSource().FinishPage(newest, page);
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->read.empty() && end->successors.empty());
  page = Times({until - 6, until - 5});
  page.budget_spent = true;
  EXPECT_FALSE(LichessSource().FinishPage(newest, page)) << "not the newest first";
  // An incremental sync reads older history than was ever read only if asked.
  task = Context(JobMode::kIncremental);
  task.filter.until_ms = until;
  const AccountState known{{{kBorn, kNow}}, {}, {}};
  EXPECT_EQ(plan(old).size(), 1U);
  EXPECT_EQ(plan(old, known).size(), 0U);
  task.filter.since_ms = born;
  EXPECT_EQ(plan(old, known).size(), 1U);
}

// A proxy's empty 200 would be a window without a game.
TEST(LichessFinish, NothingCountsAsReadWithoutProofThatAnEmptyAnswerIsTheUpstreams) {
  HttpResponseHead head{200, {{"Content-Type", ""}, {"Content-Length", "0"}}};
  const auto finish = [&](SelectorKind kind, const char* type, PageResult result) {
    TaskContext task = TaskOf(kind, kBorn, kBorn + 1000, kind == SelectorKind::kIds ? "a" : "again");
    task.budget = 5;
    head.headers[0].value = type;
    result.head = &head;
    return LichessSource().FinishPage(task, result);
  };
  for (const SelectorKind kind : {SelectorKind::kWindow, SelectorKind::kNewest, SelectorKind::kIds}) {
    for (const char* type : {"text/plain", "application/octet-stream", "application/json"}) {
      const auto empty = finish(kind, type, {});
      ASSERT_FALSE(empty) << type;
      EXPECT_EQ(empty.error().error_class, ErrorClass::kTransient) << type;
      EXPECT_NE(empty.error().message.find(type), std::string::npos) << empty.error().message;
    }
    for (const char* type : {"", "application/x-ndjson; charset=utf-8"}) EXPECT_TRUE(finish(kind, type, {}));
  }
  for (const SelectorKind kind : {SelectorKind::kWindow, SelectorKind::kNewest}) {
    const auto read = finish(kind, "text/plain", Times({kBorn + 5}));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->read.size(), 1U) << "games are proof enough";
  }
}

// data_path.md, invariant 9.
TEST(LichessFinish, NothingCountsAsReadWithoutProofThatTheGamesLieInTheWindow) {
  const LichessSource source;
  const TaskContext task = TaskOf(SelectorKind::kWindow, kBorn, kBorn + 1000);
  const auto whole = source.FinishPage(task, Times({kBorn, kBorn + 5, kBorn + 999}));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->read.size(), 1U);
  EXPECT_EQ(whole->doubt, "");
  for (const auto& times : {Times({kBorn - 1, kBorn}), Times({kBorn, kBorn + 1000}), Times({1})}) {
    const auto other = source.FinishPage(task, times);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().error_class, ErrorClass::kTransient);
  }
}

TEST(LichessFinish, AWindowInDisorderOrWithoutAnEndFeedsNoSweep) {
  const LichessSource source;
  const TaskContext task = TaskOf(SelectorKind::kWindow, kBorn, kBorn + 1000);
  EXPECT_NE(source.FinishPage(task, Times({kBorn + 5, kBorn}))->doubt, "");
  PageResult result = Times({kBorn});
  HttpResponseHead head{200, {{"Connection", "close"}}};
  result.head = &head;
  EXPECT_NE(source.FinishPage(task, result)->doubt, "");
  EXPECT_TRUE(source.FinishPage(task, result)->read.empty()) << "no more than up to its last game";
  head.headers = {{"Transfer-Encoding", "chunked"}};
  EXPECT_EQ(source.FinishPage(task, result)->doubt, "");
  head.headers = {{"Content-Length", "5"}};
  EXPECT_EQ(source.FinishPage(task, result)->doubt, "");
}

// data_path.md, invariant 9.
TEST(LichessFinish, NothingCountsAsReadWithoutProofThatTheNewestCameFirst) {
  const LichessSource source;
  TaskContext task = TaskOf(SelectorKind::kNewest, kBorn, kBorn + 1000);
  task.budget = 2;
  EXPECT_EQ(source.FinishPage(task, Times({kBorn + 9, kBorn + 8}))->read.size(), 1U);
  PageResult all = Times({kBorn + 8, kBorn + 9});
  task.budget = 3;
  EXPECT_EQ(source.FinishPage(task, all)->read.size(), 1U) << "all of the range, in whatever order";
  task.budget = 2;
  for (const auto& times :
       {Times({kBorn + 8, kBorn + 9}), Times({kBorn + 1000, kBorn + 8}), Times({kBorn, kBorn - 1})}) {
    const auto other = source.FinishPage(task, times);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().error_class, ErrorClass::kTransient);
  }
}

TEST(LichessFinish, NewestEndsAtGamesThatAreOlderThanAnySince) {
  TaskContext task = TaskOf(SelectorKind::kNewest, lichess::kEarliestMs, kBorn, "10-20");
  task.budget = 2;
  PageResult page = Times({kBorn - 5, lichess::kEarliestMs - 7});
  page.inserted = 1;  // one is known, so that there is some budget left
  const auto end = LichessSource().FinishPage(task, page);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{lichess::kEarliestMs, kBorn}}));
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector, (Selector{SelectorKind::kNewest, 10, 20, ""}));
}

TEST(LichessFinish, AnAnswerThatOnlyTheConnectionEndedIsBelievedUpToItsLastGame) {
  const LichessSource source;
  const HttpResponseHead head{200, {{"Connection", "close"}}};
  const auto finish = [&](TaskContext task, PageResult result) {
    result.head = &head;
    task.budget = 9;
    return *source.FinishPage(task, result);
  };
  const TaskContext window = TaskOf(SelectorKind::kWindow, kBorn, kBorn + 1000);
  EXPECT_EQ(finish(window, Times({kBorn, kBorn + 7})).read, (std::vector<TimeRange>{{kBorn, kBorn + 7}}));
  EXPECT_TRUE(finish(window, Times({kBorn + 7, kBorn})).read.empty()) << "in disorder";
  EXPECT_TRUE(finish(TaskOf(SelectorKind::kWindow, kBorn, kBorn + 1000, "again"), {}).read.empty());
  const TaskContext newest = TaskOf(SelectorKind::kNewest, kBorn, kBorn + 1000, "10-20");
  const PageEnd end = finish(newest, Times({kBorn + 9, kBorn + 7}));
  EXPECT_EQ(end.read, (std::vector<TimeRange>{{kBorn + 8, kBorn + 1000}}));
  EXPECT_TRUE(end.successors.empty());
  EXPECT_NE(end.doubt, "");
  EXPECT_TRUE(finish(newest, Times({kBorn + 7, kBorn + 9})).read.empty());
  EXPECT_TRUE(finish(TaskOf(SelectorKind::kNewest, kBorn, kBorn + 1000, "again"), {}).read.empty());
}

TEST(LichessFinish, ARangeWithoutAGameIsAskedForOnceMoreBeforeItCounts) {
  const LichessSource source;
  TaskContext task = TaskOf(SelectorKind::kWindow, kBorn, kBorn + 1000);
  const auto first = source.FinishPage(task, {});
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->read.empty());
  ASSERT_EQ(first->successors.size(), 1U);
  EXPECT_EQ(first->successors[0].selector, (Selector{SelectorKind::kWindow, kBorn, kBorn + 1000, "again"}));
  const std::string target = source.Request(task)->request.target;
  task.selector = first->successors[0].selector;
  EXPECT_EQ(source.Request(task)->request.target, target);
  const auto second = source.FinishPage(task, {});
  EXPECT_EQ(second->read, (std::vector<TimeRange>{{kBorn, kBorn + 1000}}));
  EXPECT_TRUE(second->successors.empty());

  task = TaskOf(SelectorKind::kNewest, kBorn, kBorn + 1000, "tie,30-40");
  task.budget = 5;
  const auto newest = source.FinishPage(task, {});
  ASSERT_TRUE(newest);
  EXPECT_TRUE(newest->read.empty());
  ASSERT_EQ(newest->successors.size(), 1U);
  EXPECT_EQ(newest->successors[0].selector,
            (Selector{SelectorKind::kNewest, kBorn, kBorn + 1000, "tie,again,30-40"}));
  EXPECT_EQ(newest->successors[0].budget, 5);
  task.selector = newest->successors[0].selector;
  const auto empty = source.FinishPage(task, {});
  EXPECT_EQ(empty->read, (std::vector<TimeRange>{{kBorn, kBorn + 1000}}));
  EXPECT_EQ(empty->successors.at(0).selector, (Selector{SelectorKind::kNewest, 30, 40, ""}));
}

TEST(LichessFinish, WindowIsReadButForTheUnsettledEnd) {
  const LichessSource source;
  auto end = source.FinishPage(TaskOf(SelectorKind::kWindow, kBorn, kBorn + 1000), Times({kBorn}));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{kBorn, kBorn + 1000}}));
  end = source.FinishPage(TaskOf(SelectorKind::kWindow, kBorn, kNow), Times({kBorn}));
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{kBorn, kNow - 600'000}})) << "as late as the index may be";
  end = source.FinishPage(TaskOf(SelectorKind::kWindow, kNow - 30'000, kNow), {});
  EXPECT_TRUE(end->read.empty());
  EXPECT_TRUE(end->successors.empty());
}

TEST(LichessFinish, UpstreamsClockCountsWhenItIsBehindOursHoweverFar) {
  const std::int64_t now = *ParseTime("2026-11-22T20:50:00Z");
  HttpResponseHead head{200, {{"Date", "Sun, 22 Nov 2026 20:40:00 GMT"}, {"Content-Length", "5"}}};
  PageResult result = Times({kBorn + 700'000});
  result.head = &head;
  TaskContext task = TaskOf(SelectorKind::kWindow, kBorn, now);
  task.now_ms = now;
  EXPECT_EQ(LichessSource().FinishPage(task, result)->read.at(0).hi, now - 600'000 - 600'000);
  head.headers[0].value = "Sun, 22 Nov 2009 20:40:00 GMT";  // wrong, as its own game shows
  EXPECT_EQ(LichessSource().FinishPage(task, result)->read.at(0).hi, kBorn + 100'000);
  head.headers[0].value = "Mon, 22 Nov 2027 20:40:00 GMT";
  EXPECT_EQ(LichessSource().FinishPage(task, result)->read.at(0).hi, now - 600'000) << "ahead of ours";
}

PageResult Page(std::int64_t records, std::int64_t inserted, std::int64_t oldest, bool spent = false) {
  PageResult result;
  result.records = records;
  result.inserted = inserted;
  result.first_order_ms = oldest + records;
  result.last_order_ms = oldest;
  result.budget_spent = spent;
  return result;
}

TEST(LichessFinish, NewestStopsWhenTheBudgetIsSpent) {
  TaskContext task = TaskOf(SelectorKind::kNewest, kBorn, kBorn + 1000, "10-20");
  task.budget = 5;
  const auto end = LichessSource().FinishPage(task, Page(5, 5, kBorn + 400, true));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{kBorn + 401, kBorn + 1000}}));
  EXPECT_TRUE(end->successors.empty());
}

TEST(LichessFinish, NewestGoesOnWithinItsRange) {
  TaskContext task = TaskOf(SelectorKind::kNewest, kBorn, kBorn + 1000, "10-20");
  task.budget = 5;
  const auto end = LichessSource().FinishPage(task, Page(5, 3, kBorn + 400));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{kBorn + 401, kBorn + 1000}}));
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector, (Selector{SelectorKind::kNewest, kBorn, kBorn + 401, "tie,10-20"}));
  EXPECT_EQ(end->successors[0].budget, 2);
}

TEST(LichessFinish, NewestGoesOnWithTheNextHole) {
  TaskContext task = TaskOf(SelectorKind::kNewest, kBorn, kBorn + 1000, "tie,30-40,10-20");
  task.budget = 5;
  auto end = LichessSource().FinishPage(task, Page(5, 3, kBorn + 400));  // 6 were asked for
  ASSERT_TRUE(end);
  EXPECT_EQ(end->read, (std::vector<TimeRange>{{kBorn, kBorn + 1000}}));
  ASSERT_EQ(end->successors.size(), 1U);
  EXPECT_EQ(end->successors[0].selector, (Selector{SelectorKind::kNewest, 30, 40, "10-20"}));
  EXPECT_EQ(end->successors[0].budget, 2);
  task.selector.key = "again";
  end = LichessSource().FinishPage(task, Page(0, 0, 0));
  EXPECT_TRUE(end->successors.empty());
}

// Whatever is stored already, a chain of newest-first tasks ends, reads each game it should and claims no
// more than it read.
TEST(LichessFinish, NewestChainAlwaysEnds) {
  // Five games in one millisecond, others alone; the first `known` of them, newest first, are stored.
  const std::vector<std::int64_t> games{900, 800, 700, 700, 700, 700, 700, 600, 5, 0};
  for (std::size_t known = 0; known <= games.size(); ++known) {
    for (std::int64_t limit = 1; limit <= 11; ++limit) {
      std::vector<bool> stored(games.size());
      std::fill_n(stored.begin(), known, true);
      TaskContext task = TaskOf(SelectorKind::kNewest, kBorn, kBorn + 1000);
      task.budget = limit;
      std::int64_t inserted = 0;
      int requests = 0;
      for (bool more = true; more;) {
        ASSERT_LT(++requests, 30) << "known " << known << ", limit " << limit;
        const std::string target = LichessSource().Request(task)->request.target;
        const std::int64_t max = std::stoll(target.substr(target.find("max=") + 4));
        PageResult page;
        for (std::size_t i = 0; i < games.size() && page.records < max && !page.budget_spent; ++i) {
          const std::int64_t at = kBorn + games[i];
          if (at < task.selector.lo || at >= task.selector.hi) continue;
          ++page.records;
          page.last_order_ms = at;
          if (!stored[i]) ++page.inserted;
          stored[i] = true;
          page.budget_spent = page.inserted == *task.budget;
        }
        inserted += page.inserted;
        const auto end = LichessSource().FinishPage(task, page);
        ASSERT_TRUE(end);
        for (const TimeRange& range : end->read) {
          for (std::size_t i = 0; i < games.size(); ++i) {
            const std::int64_t at = kBorn + games[i];
            EXPECT_TRUE(stored[i] || at < range.lo || at >= range.hi)
                << "claims an unread game at " << games[i];
          }
        }
        more = !end->successors.empty();
        if (more) {
          task.selector = end->successors[0].selector;
          task.budget = end->successors[0].budget;
        }
      }
      EXPECT_LE(inserted, limit);
      // All that is new is found, but for what hides among equal times behind known ones.
      const auto fresh = static_cast<std::int64_t>(games.size() - known);
      if (known <= 2 || known >= 7) {
        EXPECT_EQ(inserted, std::min(limit, fresh)) << known << " " << limit;
      }
    }
  }
}

TEST(LichessFinish, IdsThatDidNotComeTwiceAreUnwatchedIfOthersCame) {
  const LichessSource source;
  const TaskContext task = TaskOf(SelectorKind::kIds, 0, 0, "a,b,c,d,e");
  const TaskContext again = TaskOf(SelectorKind::kIds, 0, 0, "again:a,b,c,d,e");
  const auto page = [](std::vector<std::string> ids) {
    PageResult result = Page(static_cast<std::int64_t>(ids.size()), 0, 1);
    result.seen_ids = std::move(ids);
    return result;
  };
  const auto all = source.FinishPage(task, page({"e", "a", "c", "b", "d", "a"}));
  EXPECT_TRUE(all->unwatch.empty());
  EXPECT_TRUE(all->successors.empty());
  const auto some = source.FinishPage(task, page({"e", "a", "c"}));
  EXPECT_TRUE(some->unwatch.empty()) << "one answer is no proof";
  ASSERT_EQ(some->successors.size(), 1U);
  EXPECT_EQ(some->successors[0].selector, (Selector{SelectorKind::kIds, 0, 0, "again:b,d,a"}))
      << "and one that came";
  TaskContext gone = task;
  gone.selector = some->successors[0].selector;
  EXPECT_EQ(source.FinishPage(gone, page({"a"}))->unwatch, (std::vector<std::string>{"b", "d"}));
  gone.filter.since_ms = kBorn;
  EXPECT_EQ(source.FinishPage(gone, page({"a"}))->unwatch.size(), 2U) << "the worker cuts no ids by time";
  EXPECT_EQ(source.FinishPage(task, page({}))->successors.at(0).selector.key, "again:a,b,c,d,e");
  EXPECT_EQ(source.FinishPage(again, page({"e", "a", "c"}))->unwatch, (std::vector<std::string>{"b", "d"}));
  EXPECT_TRUE(source.FinishPage(again, page({}))->unwatch.empty()) << "an outage answers so, too";
  EXPECT_TRUE(source.FinishPage(again, page({}))->successors.empty()) << "the next sync asks again";
  EXPECT_TRUE(source.FinishPage(again, page({"a", ""}))->unwatch.empty())
      << "a record without an id may be any";
}

// data_path.md, invariant 9.
TEST(LichessFinish, NothingCountsAsReadWithoutProofThatTheIdsAreThoseAskedFor) {
  PageResult other = Page(2, 0, 1);
  other.seen_ids = {"a", "x"};
  const auto end = LichessSource().FinishPage(TaskOf(SelectorKind::kIds, 0, 0, "a,b"), other);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().error_class, ErrorClass::kTransient);
}

TEST(LichessFinish, IdsThatWereNotKeptAreAskedForInHalves) {
  const LichessSource source;
  const TaskContext task = TaskOf(SelectorKind::kIds, 0, 0, "a,b,c,d,e");
  EXPECT_TRUE(source.FinishPage(task, Page(5, 0, 1))->unwatch.empty());
  EXPECT_EQ(source.FinishPage(task, Page(0, 0, 0))->successors.at(0).selector.key, "again:a,b,c,d,e");
  const auto end = source.FinishPage(task, Page(3, 0, 1));
  EXPECT_TRUE(end->unwatch.empty());
  ASSERT_EQ(end->successors.size(), 2U);
  EXPECT_EQ(end->successors[0].selector.key, "a,b");
  EXPECT_EQ(end->successors[1].selector.key, "c,d,e");
}

// --- records

struct Mapped {
  RecordHead head;
  RecordNotes notes;
  std::map<std::string, std::string, std::less<>> row;
};

Result<Mapped> MapRecord(std::string_view raw) {
  const LichessSource source;
  const auto mapper = source.NewMapper("games");
  const PaddedRecord record(raw);
  auto head = mapper->Head(record.View());
  if (!head) return Fail(head.error());
  RowRecorder row;
  auto notes = mapper->Map(record.View(), row);
  if (!notes) return Fail(notes.error());
  EXPECT_EQ(row.values.size(), source.Info().streams[0].table.columns.size());
  return Mapped{*head, *notes, row.ByColumn(source.Info().streams[0].table.columns)};
}

std::vector<Mapped> MapFixture() {
  std::vector<Mapped> games;
  const auto reader = NewNdjsonReader({}, [&](std::string_view raw, bool) -> Result<bool> {
    auto mapped = MapRecord(raw);
    if (!mapped) return Fail(mapped.error());
    games.push_back(std::move(*mapped));
    return true;
  });
  EXPECT_TRUE(reader->Feed(Fixture("games.ndjson")).has_value());
  EXPECT_TRUE(reader->End().has_value());
  EXPECT_EQ(games.size(), 6U);
  games.resize(6);
  return games;
}

void ExpectRow(const Mapped& game, const std::map<std::string, std::string>& expected) {
  for (const auto& [column, value] : expected) {
    ASSERT_TRUE(game.row.count(column)) << column;
    EXPECT_EQ(game.row.at(column), value) << game.head.id << " " << column;
  }
}

TEST(LichessMapper, NormalGame) {
  const Mapped game = MapFixture()[0];
  EXPECT_EQ(game.head.id, "Nrm4lGm1");
  EXPECT_EQ(game.head.order_ms, 1'700'000'000'123);
  EXPECT_EQ(game.notes.watch, RecordNotes::Watch::kUnwatch);
  const std::map<std::string, std::string> expected{{"created_at", "time:1700000000123"},
                                                    {"last_move_at", "time:1700000301456"},
                                                    {"rated", "bool:true"},
                                                    {"variant", "text:standard"},
                                                    {"speed", "text:blitz"},
                                                    {"perf", "text:blitz"},
                                                    {"status", "text:mate"},
                                                    {"source", "text:pool"},
                                                    {"winner", "text:white"},
                                                    {"result", "text:1-0"},
                                                    {"white_name", "text:Anna_K"},
                                                    {"white_title", "text:WGM"},
                                                    {"white_rating", "int:2411"},
                                                    {"white_rating_diff", "int:6"},
                                                    {"white_ai_level", "null"},
                                                    {"black_name", "text:b\xc3\xb6ris"},
                                                    {"black_title", "null"},
                                                    {"black_rating", "int:2398"},
                                                    {"black_rating_diff", "int:-6"},
                                                    {"black_ai_level", "null"},
                                                    {"eco", "text:C50"},
                                                    {"opening", "text:Italian Game: \"Quiet\" Line"},
                                                    {"opening_ply", "int:6"},
                                                    {"moves", "text:e4 e5 Bc4 Nc6 Qh5 Nf6 Qxf7#"},
                                                    {"pgn", "null"},
                                                    {"initial_fen", "null"},
                                                    {"last_fen", "null"},
                                                    {"clock_initial", "int:180"},
                                                    {"clock_increment", "int:2"},
                                                    {"days_per_turn", "null"},
                                                    {"tournament", "null"}};
  EXPECT_EQ(expected.size(), game.row.size());
  ExpectRow(game, expected);
}

TEST(LichessMapper, OtherGames) {
  const auto games = MapFixture();
  ExpectRow(games[1], {{"white_name", "null"},
                       {"white_ai_level", "int:8"},
                       {"white_rating", "null"},
                       {"result", "text:1-0"}});
  ExpectRow(games[2], {{"black_name", "null"},
                       {"black_ai_level", "null"},
                       {"winner", "null"},
                       {"result", "text:1/2-1/2"},
                       {"tournament", "text:arena001"}});
  ExpectRow(games[3], {{"result", "null"}, {"status", "text:started"}, {"days_per_turn", "int:14"}});
  EXPECT_EQ(games[3].notes.watch, RecordNotes::Watch::kWatch);
  ExpectRow(games[4], {{"variant", "text:chess960"},
                       {"result", "text:0-1"},
                       {"tournament", "text:swiss001"},
                       {"initial_fen", "text:nqnrkrbb/pppppppp/8/8/8/8/PPPPPPPP/NQNRKRBB w KQkq - 0 1"}});
  ExpectRow(games[5], {{"result", "null"},
                       {"white_name", "text:Imported, One"},
                       {"black_rating", "null"},
                       {"last_fen", "text:8/8/8/8/8/8/8/8 w - - 0 1"}});
}

TEST(LichessMapper, OnlyIdAndTimeAreRequired) {
  const auto game = MapRecord(
      R"({"createdAt":1700000000000,"id":"x","rated":"yes","players":[1],"moves":5,"clock":{"initial":1e2,"increment":99999999999},"opening":null,"lastMoveAt":-5,"winner":"nobody"})");
  ASSERT_TRUE(game);
  for (const auto& [column, value] : game->row) {
    if (column != "created_at") {
      EXPECT_EQ(value, "null") << column;
    }
  }
  for (const char* raw :
       {R"({"createdAt":1700000000000})", R"({"id":"","createdAt":1700000000000})",
        R"({"id":5,"createdAt":1700000000000})", R"({"id":"x"})", R"({"id":"x","createdAt":"2020"})",
        R"({"id":"x","createdAt":1e99})", R"({"id":"x","createdAt":9999999999999999})",
        R"({"id":"x","createdAt":-1})", "null", "[]", "{"}) {
    const auto bad = MapRecord(raw);
    ASSERT_FALSE(bad.has_value()) << raw;
    EXPECT_EQ(bad.error().error_class, ErrorClass::kBadRecord);
  }
}

// data_path.md, invariant 9: an error in the place of a game says that the page is not whole.
TEST(LichessMapper, NothingCountsAsReadWithoutProofThatWhatIsNoGameIsNoError) {
  for (const char* raw :
       {R"({"id":"x","error":"timeout"})", R"({"createdAt":1700000000000,"error":"timeout"})"}) {
    const auto bad = MapRecord(raw);
    ASSERT_FALSE(bad.has_value()) << raw;
    EXPECT_EQ(bad.error().error_class, ErrorClass::kTransient);
    EXPECT_NE(bad.error().message.find("timeout"), std::string::npos);
  }
}

TEST(LichessMapper, PoisonIsABadRecord) {
  const std::string start = R"({"id":"x","createdAt":1700000000000,"extra":)";
  EXPECT_TRUE(MapRecord(start + "123456789012345678901234567890}"));
  EXPECT_TRUE(MapRecord(start + "\"" + std::string(5 << 20, 'x') + "\"}"));
  for (const std::string& extra :
       {std::string(R"("\u0000")"), std::string(R"("\ud800")"), std::string("\"\xff\""),
        std::string("1e131000"), std::string(100'000, '[') + std::string(100'000, ']'), std::string("1}x")}) {
    const auto bad = MapRecord(start + extra + "}");
    ASSERT_FALSE(bad.has_value()) << extra.substr(0, 20);
    EXPECT_EQ(bad.error().error_class, ErrorClass::kBadRecord);
  }
}

}  // namespace
}  // namespace weir
