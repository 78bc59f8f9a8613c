// A CRM's location as a user syncs it: whole and by its changes, while records come, go and change, and while
// its upstream does all that it can do wrong. The oracle: every record that was there all the time is in the
// table as it stands upstream, and none is there twice.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <fstream>

#include "tests/e2e/highlevel.h"
#include "tests/support/clock/wrong_clock.h"

namespace weir::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;

TEST_F(HighLevel, AFullSyncIsCutIntoSlicesAndCopiesAll) {
  Location({{"add", 5000}});
  StartServices();
  const Outcome outcome = SyncAll();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  ExpectShape(outcome, "succeeded");
  EXPECT_EQ(outcome.Total("inserted"), 5000) << outcome.out;
  ExpectCopy("highlevel", kLocation);
  // 50 pages and at most one more at each slice's end; slices were cut, by few questions.
  EXPECT_THAT(Requests("highlevel.search"), AllOf(Ge(50), Le(75)));
  EXPECT_THAT(Requests("highlevel.total"), AllOf(Ge(5), Le(30)));
  EXPECT_GT(Number("select count(distinct lo) from weir.tasks where kind = 6"), 5);
  EXPECT_EQ(Number("select count(distinct lane) from weir.tasks where kind = 6"), 4);
  EXPECT_EQ(
      Text("select count(*) from highlevel.opportunities where value is not null and contact_email like "
           "'%@example.org' and jsonb_typeof(custom_fields) = 'array' and created_at is not null"),
      "5000");
  // Once more: nothing is written.
  const Outcome again = SyncAll({"--mode", "full"});
  EXPECT_EQ(again.Total("unchanged"), again.Total("fetched")) << again.out;
  EXPECT_EQ(Number("select count(*) from highlevel.opportunities where updated_at <> first_seen_at"), 0);
}

TEST_F(HighLevel, RecordsThatComeGoAndChangeMeanwhileHideNoOther) {
  Location({{"add", 5000}, {"churn", {{"every", 1}, {"remove", 7}, {"insert", 5}, {"update", 6}}}});
  StartServices();
  const Outcome outcome = SyncAll();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  ExpectShape(outcome, "succeeded");
  const Json facts = Facts();
  EXPECT_GT(facts.at("removed").get<int>(), 300);
  EXPECT_GT(facts.at("updated").get<int>(), 200);
  ExpectSurvivors();
  EXPECT_EQ(Number("select count(*) - count(distinct id) from highlevel.opportunities"), 0);
}

TEST_F(HighLevel, AnIncrementalSyncReadsWhatChangedByPost) {
  Location({{"add", 3000}});
  StartServices();
  EXPECT_EQ(SyncAll().Total("inserted"), 3000);
  Location({{"update", 40}});
  Control("reset", Json::object());
  const Outcome changes = SyncAll();
  EXPECT_EQ(changes.Status(), 0) << changes.err;
  EXPECT_EQ(changes.json["mode"], "incremental");
  EXPECT_EQ(changes.Total("updated"),
            Number("select count(*) from highlevel.opportunities where updated_at <> "
                   "first_seen_at"));
  EXPECT_THAT(changes.Total("updated"), AllOf(Ge(35), Le(40)));  // some twice
  EXPECT_EQ(changes.Total("inserted"), 0);
  EXPECT_EQ(Requests("highlevel.search"), 0);
  EXPECT_THAT(Requests("highlevel.changes"), AllOf(Ge(1), Le(2)));
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevel, TheOtherCasingIsFoundOnceAndRemembered) {
  Location({{"add", 700}, {"casing", "camel"}});
  StartServices();
  const auto refused = [this] {
    const Json of_class = Control("stats")["requests"];
    std::int64_t count = 0;
    for (const auto& [name, numbers] : of_class.items())
      count += numbers["status"].value("422", std::int64_t{0});
    return count;
  };
  EXPECT_EQ(SyncAll().Status(), 0);
  EXPECT_EQ(refused(), 1);
  EXPECT_EQ(SyncAll({"--mode", "full"}).Status(), 0);
  EXPECT_EQ(refused(), 1);
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevel, TotalsThatLieLoseNothing) {
  StartServices();
  Location({{"add", 2000}});
  for (const Json& lie : {Json{{"total_is", 0}}, Json{{"total_is", 1'000'000'000}}, Json{{"total_is", 7}},
                          Json{{"total_is", -1}, {"total_off", -900}}, Json{{"total_off", 5000}}}) {
    Location(lie);
    const Outcome outcome = SyncAll({"--mode", "full"});
    // Who tells of more than came may be hiding some.
    const bool more = lie.value("total_is", 0) > 2'000 || lie.value("total_off", 0) > 0;
    EXPECT_EQ(outcome.Status(), more ? 3 : 0) << lie << outcome.err;
    ExpectCopy("highlevel", kLocation);
  }
}

TEST_F(HighLevel, AnEnumerationThatFallsShortOfTheTotalsIsPartialAndSaysWhy) {
  Location({{"add", 1500}, {"hide_every", 15}});
  StartServices();
  const Outcome partial = SyncAll();
  EXPECT_EQ(partial.Status(), 3) << partial.err;
  EXPECT_EQ(partial.json["state"], "partial");
  EXPECT_EQ(partial.Total("inserted"), 1400);
  EXPECT_THAT(partial.Account(kLocation).value("incomplete_reason", ""),
              HasSubstr("1400 different records came, and the upstream told of 1500 at the beginning"));
  EXPECT_THAT(partial.err, HasSubstr("not all of it may have been read: 1400 different records came"));
  EXPECT_THAT(Weir({"status", partial.json.at("job").dump()}).err,
              HasSubstr("not all of it may have been read: 1400 different records came"));
  Location({{"hide_every", 0}});
  const Outcome whole = SyncAll();
  EXPECT_EQ(whole.json["mode"], "full");
  EXPECT_EQ(whole.Status(), 0) << whole.err;
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevel, APageThatRepeatsItselfIsNoEndlessSync) {
  Location({{"add", 1500}});
  Faults({{{"match", "limit=100"}, {"action", "repeat_page"}}});
  env_["WEIR_RETRY_BASE_DELAY"] = "10ms";
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "2";
  StartServices();
  const Outcome outcome = SyncAll();
  EXPECT_NE(outcome.Status(), 0) << outcome.out;
  EXPECT_GT(outcome.Total("dead_pages"), 0);
  EXPECT_THAT(Text("select string_agg(distinct error_class, ' ') from weir.tasks where state = 'dead'"),
              "transient");
}

TEST_F(HighLevel, RefusalsWithoutHeadersAreWaitedOut) {
  Location({{"add", 2000}});
  Faults({{{"match", "/opportunities/search"},
           {"action", "status"},
           {"status", 429},
           {"every", 4},
           {"times", 8}}});
  StartServices();
  const Outcome outcome = SyncAll();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevel, ALocationThatVanishesEndsAloneWhileOthersRun) {
  Location({{"add", 1000}});
  Location({{"location", "LocGone"}, {"add", 500}, {"gone", true}});
  Configure("  - {name: LocGone, source: highlevel, secrets: {token: env:HL_TOKEN}}\n");
  StartServices();
  const Outcome outcome = Sync(kStream, {kLocation, "LocGone"});
  EXPECT_NE(outcome.Status(), 0);
  EXPECT_EQ(outcome.Account("LocGone")["state"], "failed") << outcome.out;
  EXPECT_EQ(outcome.Account(kLocation)["state"], "succeeded");
  EXPECT_EQ(Requests("highlevel.total", "LocGone"), 1);
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevel, PipelinesAreReadWhole) {
  Location({{"add", 1}, {"pipelines", 12}});
  StartServices();
  const Outcome outcome = Sync("highlevel/pipelines", {kLocation});
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(outcome.Total("inserted"), 12);
  EXPECT_EQ(Number("select count(*) from highlevel.pipelines where jsonb_array_length(stages) = 2"), 12);
}

// Tokens that are renewed: no static one is good, and the first refresh token is "rt-0".
class HighLevelOAuth : public HighLevel {
 protected:
  void SetUp() override {
    HighLevel::SetUp();
    env_["HL_ID"] = "client-1";
    env_["HL_SECRET"] = "s3cr3t-of-client";
    env_["HL_REFRESH"] = "rt-0";
    env_["WEIR_ENCRYPTION_KEY"] = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
    Configure("", "{client_id: env:HL_ID, client_secret: env:HL_SECRET, refresh_token: env:HL_REFRESH}");
    Authorise("rt-0");
  }
  void Authorise(const std::string& refresh_token) const {
    Location({{"static_token", false},
              {"revoke", true},
              {"client_id", "client-1"},
              {"client_secret", "s3cr3t-of-client"},
              {"refresh_token", refresh_token}});
  }
  // What the ledger holds, as text.
  std::string Stored() const {
    return Text(
        "select string_agg(t::text, ' ') from (select to_jsonb(c)::text || encode(sealed, 'escape') as t "
        "from weir.credentials c union all select to_jsonb(t)::text from weir.tasks t) x");
  }
};

TEST_F(HighLevelOAuth, ATokenIsHadOnceKeptEncryptedAndRenewedWhenRefused) {
  Location({{"add", 3000}});
  StartServices();
  const Outcome first = SyncAll();
  EXPECT_EQ(first.Status(), 0) << first.err;
  ExpectCopy("highlevel", kLocation);
  EXPECT_EQ(Facts()["refreshes"], 1);
  EXPECT_THAT(Stored(), AllOf(Not(HasSubstr("rt-")), Not(HasSubstr("at-Loc")), Not(HasSubstr("s3cr3t"))));
  // In the middle of the next one all tokens are revoked: every lane meets a 401, one of them renews.
  const std::int64_t before = Requests("highlevel.search");
  Faults(
      {{{"match", "/opportunities/search"}, {"action", "stall"}, {"after", -1}, {"nth", 8}, {"times", 1}}});
  const auto sync = StartSync(kStream, {kLocation}, {"--mode", "full"});
  WaitForRequests("highlevel.search", before + 10);
  Location({{"revoke", true}});
  Control("release", Json::object());
  const Outcome second = Finish(*sync);
  EXPECT_EQ(second.Status(), 0) << second.err;
  EXPECT_EQ(second.Total("dead_pages"), 0) << second.out;
  EXPECT_EQ(Facts()["refreshes"], 2);
  EXPECT_EQ(Facts()["reused"], 0);
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevelOAuth, ALostAnswerEndsTheAccountUntilItIsAuthorisedAgain) {
  Location({{"add", 300}});
  Faults({{{"match", "/oauth/token"}, {"action", "reset"}, {"after", 5}, {"times", 1}}});
  StartServices();
  const Outcome lost = SyncAll();
  EXPECT_EQ(lost.Status(), 4) << lost.err;
  EXPECT_THAT(lost.err + lost.out, HasSubstr("authorise the account again"));
  // Whether it was spent is not known until it is tried once more.
  EXPECT_EQ(Requests("highlevel.token"), 2);
  EXPECT_EQ(Facts()["reused"], 1);
  // Then nobody tries the spent token again.
  EXPECT_EQ(SyncAll().Status(), 4);
  EXPECT_EQ(Requests("highlevel.token"), 2);
  Authorise("rt-new");
  StopServices();
  env_["HL_REFRESH"] = "rt-new";
  StartServices();
  const Outcome mended = SyncAll();
  EXPECT_EQ(mended.Status(), 0) << mended.err;
  ExpectCopy("highlevel", kLocation);
}

// The new tokens come while the database is away: they are the only ones there are, and nobody takes them for
// lost.
TEST_F(HighLevelOAuth, TokensThatComeWhileTheDatabaseIsAwayAreKept) {
  Location({{"add", 300}});
  Faults({{{"match", "/oauth/token"}, {"action", "stall"}, {"after", -1}, {"times", 1}}});
  const auto network = ProxyDatabase();
  StartServices();
  const auto sync = StartSync(kStream, {kLocation});
  WaitForRequests("highlevel.token", 1);
  network->Refuse(true);
  network->ResetAll();
  Control("release", Json::object());
  ASSERT_TRUE(process::WaitUntil([&] { return Facts()["refreshes"] == 1; }, kPatience));
  EXPECT_TRUE(sync->WaitForErr("waits for the database: ", kPatience)) << sync->Err();
  EXPECT_EQ(Text("select state from weir.credentials"), "spending");
  network->Refuse(false);
  const Outcome outcome = Finish(*sync);
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(outcome.Total("inserted"), 300);
  EXPECT_EQ(Facts()["refreshes"], 1);
  EXPECT_EQ(Facts()["reused"], 0);
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevelOAuth, AnUpstreamThatCannotBeReachedSpendsNothing) {
  Location({{"add", 300}});
  Faults({{{"match", "/oauth/token"}, {"action", "status"}, {"status", 503}, {"times", 2}}});
  StartServices();
  const Outcome outcome = SyncAll();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(Requests("highlevel.token"), 3);
  EXPECT_EQ(Facts()["refreshes"], 1);
}

TEST_F(HighLevelOAuth, AnAnswerThatIsNotTheTokenEndpointsLosesNoToken) {
  Location({{"add", 300}});
  Faults({{{"match", "/oauth/token"}, {"action", "status"}, {"status", 403}, {"times", 1}},
          {{"match", "/oauth/token"}, {"action", "status"}, {"status", 500}, {"times", 1}}});
  StartServices();
  const Outcome outcome = SyncAll();
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(Requests("highlevel.token"), 3);
  EXPECT_EQ(Facts()["refreshes"], 1);
  EXPECT_EQ(Facts()["reused"], 0);
  ExpectCopy("highlevel", kLocation);
}

// Days before or after it: a worker's own clock says nothing about a token's life.
TEST_F(HighLevelOAuth, ATokenLivesByTheDatabasesClock) {
  Location({{"add", 300}});
  // The database keeps the right time.
  StartServices();
  testing::WrongClock clock(dir_ + "/clock");
  process::SpawnOptions wrong;
  clock.GiveTo(wrong);
  env_.insert(wrong.env.begin(), wrong.env.end());
  for (const int hours : {48, -48}) {
    clock.Set(std::chrono::hours(hours));
    const Outcome outcome = SyncAll();
    EXPECT_EQ(outcome.Status(), 0) << outcome.err;
    EXPECT_EQ(Facts()["refreshes"], 1) << hours;
  }
  Text("update weir.credentials set expires_at = clock_timestamp() returning 1");
  EXPECT_EQ(SyncAll().Status(), 0);
  EXPECT_EQ(Facts()["refreshes"], 2);
  ExpectCopy("highlevel", kLocation);
}

TEST_F(HighLevelOAuth, WithoutAKeyNothingIsAsked) {
  Location({{"add", 3}});
  env_.erase("WEIR_ENCRYPTION_KEY");
  const Outcome refused = SyncAll();
  EXPECT_EQ(refused.Status(), 2) << refused.err;
  EXPECT_THAT(refused.err, AllOf(HasSubstr("WEIR_ENCRYPTION_KEY"), HasSubstr("openssl rand -base64 32")));
  EXPECT_EQ(Requests("highlevel.token"), 0);
  Configure("", "{client_id: env:HL_ID, client_secret: env:HL_SECRET}");
  const Outcome half = SyncAll();
  EXPECT_EQ(half.Status(), 2) << half.err;
  EXPECT_THAT(half.err, HasSubstr("no refresh_token"));
}

}  // namespace
}  // namespace weir::e2e
