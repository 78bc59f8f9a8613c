#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "common/sources/chesscom/chesscom_source.h"
#include "producer/cli/exit_code.h"
#include "producer/probe/check.h"
#include "producer/probe/plan.h"
#include "producer/probe/preview.h"
#include "producer/probe/probe_fixture.h"
#include "producer/probe/report.h"

namespace weir::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Probe : public ProbeFixture {
 protected:
  TaskContext Context() { return DiscoverContext(account_, "games"); }
  Result<AccountPlan> Plan() {
    cli::SyncOptions options;
    options.source = "chess";
    options.stream = "games";
    return PlanAccount(Get(), source_, account_, options, std::nullopt);
  }
};

// There is no database whose time workers would plan by, and this machine's may be wrong.
TEST_F(Probe, WithoutADatabaseThePlanGoesByTheUpstreamsTime) {
  Serve({Answer(200, "[]")});
  const auto plan = Plan();
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->tasks, 3);
  EXPECT_EQ(source_.planned_at, kRightNow);
  EXPECT_THAT(Targets(), ElementsAre("/list"));
}

TEST_F(Probe, ARequestThatNamesTheWrongTimeIsAskedOnceMore) {
  source_.names_time = true;
  Serve({Answer(200, "[]")});
  ASSERT_TRUE(Plan());
  EXPECT_THAT(Targets(), ElementsAre("/list?until=1700000000000", "/list?until=1735689600000"));
  EXPECT_EQ(source_.planned_at, kRightNow);
}

TEST_F(Probe, AnUpstreamThatTellsNoTimeIsPlannedByOurs) {
  Serve({Answer(200, "[]", "")});
  ASSERT_TRUE(Plan());
  EXPECT_EQ(source_.planned_at, kWrongNow);
}

TEST_F(Probe, AnotherFormOfTheRequestIsTriedOnce) {
  Serve({Answer(422, ""), Answer(200, "[]")});
  ASSERT_TRUE(Get().Discover(source_, account_, Context()));
  EXPECT_THAT(Targets(), ElementsAre("/list", "/list?form=other"));
  Serve({Answer(422, "")});
  const auto refused = Get().Discover(source_, account_, Context());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kInvalid);
}

TEST_F(Probe, APlanThatCannotBeMadeSaysWhy) {
  Serve({Answer(404, "")});
  EXPECT_EQ(Plan().error().error_class, ErrorClass::kGone);
  Serve({Answer(200, "broken")});
  EXPECT_EQ(Plan().error().message, "the list is broken");
}

TEST_F(Probe, AfterA429ItsMeterIsLeftAlone) {
  Serve({Answer(429, "", "Retry-After: 7\r\n"), Answer(200, "[]")});
  Prober& prober = Get();
  EXPECT_EQ(prober.Discover(source_, account_, Context()).error().error_class, ErrorClass::kThrottled);
  const milliseconds before = clock_.Boot();
  ASSERT_TRUE(prober.Discover(source_, account_, Context()));
  EXPECT_GE(clock_.Boot() - before, seconds(7));
  EXPECT_THAT(said_, ElementsAre(HasSubstr("waiting 7.0s for chess: throttled")));
}

TEST_F(Probe, AWaitBeyondThePatienceIsAnErrorThatSaysHowLong) {
  Serve({Answer(429, "", "Retry-After: 600\r\n"), Answer(200, "[]")});
  Prober& prober = Get();
  EXPECT_FALSE(prober.Discover(source_, account_, Context()));
  const auto waits = prober.Discover(source_, account_, Context());
  ASSERT_FALSE(waits);
  EXPECT_EQ(waits.error().error_class, ErrorClass::kThrottled);
  EXPECT_EQ(waits.error().retry_after, seconds(600));
  EXPECT_EQ(Targets().size(), 1u);
}

TEST_F(Probe, TheUsersInterruptEndsAWait) {
  Serve({Answer(429, "", "Retry-After: 7\r\n")});
  Prober& prober = Get();
  EXPECT_FALSE(prober.Discover(source_, account_, Context()));
  interrupted_ = true;
  EXPECT_EQ(prober.Discover(source_, account_, Context()).error().error_class, ErrorClass::kStopped);
}

TEST_F(Probe, AnAccountWhoseTokenIsRenewedNeedsTheDatabase) {
  Serve({Answer(200, "[]")});
  account_.secrets["refresh_token"] = Secret("rt");
  const auto refused = Get().Discover(source_, account_, Context());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(Targets(), IsEmpty());
}

TEST_F(Probe, APreviewHasTheNewestRecordsAndSaysWhatWouldBeRejected) {
  Serve({Answer(200, "[]"), Answer(200, "{\"id\":\"c\"}\n{\"bad\":1}\n"),
         Answer(200, "{\"id\":\"b\"}\n{\"id\":\"a\"}\n")});
  const auto records = Preview(Get(), config_, source_, "games", account_, 3);
  ASSERT_TRUE(records) << records.error().message;
  ASSERT_EQ(records->size(), 3u);
  EXPECT_EQ((*records)[0].id, "{\"id\":\"c\"}");
  EXPECT_THAT((*records)[0].columns, ElementsAre("{\"id\":\"c\"}"));
  EXPECT_EQ((*records)[1].bad, "it has no id");
  EXPECT_EQ((*records)[2].id, "{\"id\":\"b\"}");
  EXPECT_THAT(Targets(), ElementsAre("/list", "/page/3", "/page/2"));
  EXPECT_EQ(source_.planned_at, kRightNow);
  std::ostringstream json;
  PrintPreviewJson(json, *records);
  EXPECT_EQ(json.str(), "[\n  {\"id\":\"c\"},\n  {\"id\":\"b\"}\n]\n")
      << "byte for byte, without the bad one";
}

// A sync reads such a month, and only doubts that it has all.
TEST_F(Probe, APreviewShowsAMonthWithAGameThatEndedInAnother) {
  const std::string json = "Content-Type: application/json\r\n";
  const auto game = [](const char* id, int end_s) {
    return "{\"uuid\":\"" + std::string(id) + "\",\"end_time\":" + std::to_string(end_s) + "}";
  };
  const std::string month = R"({"games":[)" + game("a", 1'677'700'000) + "," + game("late", 1'700'000'000) +
                            "," + game("b", 1'677'800'000) + "]}";
  const std::string list =
      Answer(200, R"({"archives":["https://x/pub/player/anna/games/2023/03"]})", kDate + json);
  Serve({list, Answer(200, month, kDate + json), list, Answer(200, month, kDate + json)});
  const ChesscomSource chesscom;
  for (const std::size_t wanted : {9u, 2u}) {
    const auto records = Preview(Get(), config_, chesscom, "games", account_, static_cast<int>(wanted));
    ASSERT_TRUE(records) << records.error().message;
    EXPECT_EQ(records->size(), std::min<std::size_t>(wanted, 3));
  }
}

TEST_F(Probe, APreviewAsksForFivePagesAtMost) {
  source_.pages = 9;
  Serve({Answer(200, "[]"), Answer(200, "")});
  const auto records = Preview(Get(), config_, source_, "games", account_, 3);
  ASSERT_TRUE(records);
  EXPECT_THAT(*records, IsEmpty());
  EXPECT_EQ(Targets().size(), 6u);
  std::ostringstream json;
  PrintPreviewJson(json, *records);
  EXPECT_EQ(json.str(), "[]\n");
}

TEST_F(Probe, ARecordOverTheLimitIsShownAsOne) {
  config_.max_record_bytes = 10;
  source_.pages = 1;
  Serve({Answer(200, "[]"), Answer(200, "{\"id\":\"" + std::string(100, 'x') + "\"}\n")});
  const auto records = Preview(Get(), config_, source_, "games", account_, 3);
  ASSERT_TRUE(records) << records.error().message;
  ASSERT_EQ(records->size(), 1u);
  EXPECT_THAT((*records)[0].bad, HasSubstr("limits.max_record_bytes"));
}

TEST_F(Probe, ACheckTellsAnAnswerFromNone) {
  Serve({Answer(200, "[]")});
  config_.sources["chess"].base_url = account_.base_url;
  const AccountBook accounts(config_);
  CheckTarget target{&source_, "anna", true};
  auto line = CheckOne(Get(), accounts, target);
  ASSERT_TRUE(line);
  EXPECT_FALSE(line->error);
  EXPECT_TRUE(line->round_trip);
  Serve({Answer(404, "")});
  config_.sources["chess"].base_url = account_.base_url;
  EXPECT_EQ(CheckOne(Get(), AccountBook(config_), target)->error->error_class, ErrorClass::kGone);
  // The source's own example tells whether the upstream answers at all, and it did.
  target.configured = false;
  EXPECT_FALSE(CheckOne(Get(), AccountBook(config_), target)->error);
  server_.reset();
  line = CheckOne(Get(), AccountBook(config_), target);
  ASSERT_TRUE(line && line->error);
  EXPECT_EQ(line->error->error_class, ErrorClass::kTransient);
  EXPECT_THAT(line->error->hint, HasSubstr("base_url"));
}

TEST_F(Probe, ACheckOfAnAccountThatIsConfiguredWronglyAsksNothing) {
  Serve({Answer(200, "[]")});
  AccountConfig& anna = config_.accounts.emplace_back();
  anna.name = "anna";
  anna.source = "chess";
  anna.secret_refs["token"] = "env:WEIR_TEST_TOKEN_THAT_IS_NOT_HERE";
  const auto line = CheckOne(Get(), AccountBook(config_), {&source_, "anna", true});
  ASSERT_TRUE(line && line->error);
  EXPECT_EQ(line->error->error_class, ErrorClass::kConfig);
  EXPECT_THAT(Targets(), IsEmpty());
}

TEST(CheckTargets, AreTheFilesAccountsOrTheSourcesOwn) {
  Config config;
  AccountConfig& anna = config.accounts.emplace_back();
  anna.name = "Anna";
  anna.source = "lichess";
  auto targets = CheckTargets(config, {});
  ASSERT_TRUE(targets);
  for (const CheckTarget& target : *targets) {
    EXPECT_EQ(target.configured, target.source->Info().name == "lichess");
    EXPECT_FALSE(target.account.empty());
  }
  cli::CheckOptions options;
  options.account = "anna";
  targets = CheckTargets(config, options);
  ASSERT_TRUE(targets);
  ASSERT_EQ(targets->size(), 1u);
  EXPECT_EQ((*targets)[0].account, "Anna") << "as the file spells it";
  options.account = "bob";
  EXPECT_EQ(CheckTargets(config, options).error().error_class, ErrorClass::kNotFound);
  options.source = "chesscom";
  EXPECT_EQ((*CheckTargets(config, options))[0].account, "bob");
}

TEST(PlanTotals, MetersRunSideBySideAndAnUnknownCountIsSaid) {
  const auto plan = [](const std::string& meter, int lanes, int time_s, std::optional<std::int64_t> records) {
    AccountPlan p;
    p.meter = meter;
    p.lanes = lanes;
    p.tasks = 2;
    p.estimate.requests = 3;
    p.estimate.records = records;
    p.estimate.time = seconds(time_s);
    return p;
  };
  std::vector<AccountPlan> plans{plan("a", 2, 10, 5), plan("a", 2, 20, 6), plan("b", 1, 12, 7)};
  PlanTotals totals = TotalsOf(plans);
  EXPECT_EQ(totals.tasks, 6);
  EXPECT_EQ(totals.requests, 9);
  EXPECT_EQ(totals.records, 18);
  EXPECT_EQ(totals.time, seconds(15));
  plans.push_back(plan("b", 1, 1, std::nullopt));
  AccountPlan failed = plan("b", 1, 1000, 1000);
  failed.error = MakeError(ErrorClass::kGone, "no");
  plans.push_back(failed);
  totals = TotalsOf(plans);
  EXPECT_FALSE(totals.records);
  EXPECT_EQ(totals.tasks, 8) << "what cannot be planned does not count";
}

TEST(ProbeExitCode, IsTheReasonsOwnWhenAllFailForIt) {
  const auto error = [](ErrorClass c) { return std::optional(MakeError(c, "x")); };
  EXPECT_EQ(ExitCodeOf({std::nullopt, std::nullopt}), 0);
  EXPECT_EQ(ExitCodeOf({std::nullopt, error(ErrorClass::kGone)}), 3);
  EXPECT_EQ(ExitCodeOf({error(ErrorClass::kConfig), error(ErrorClass::kConfig)}), 2);
  EXPECT_EQ(ExitCodeOf({error(ErrorClass::kConfig), error(ErrorClass::kGone)}), cli::kFailed);
}

}  // namespace
}  // namespace weir::probe
