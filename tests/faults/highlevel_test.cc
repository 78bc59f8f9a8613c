// HighLevel on Apache Kafka with three workers: what its upstream can do wrong, its single-use refresh tokens
// while workers die, and the faults of a cluster on its cursors.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/faults/highlevel_pool.h"

namespace weir::faults {
namespace {

using ::testing::HasSubstr;

class ApacheKafkaHighLevel : public HighLevelPool {};

TEST_F(ApacheKafkaHighLevel, EachLocationHasItsOwnTroubleAndNoOther) {
  const Strings all{"LocFine",  "LocCasing",  "LocStorm",   "LocNoTotal",
                    "LocGrows", "LocShrinks", "LocRepeats", "LocGone"};
  Configure(all);
  for (const std::string& location : all) Location(location, {{"add", 2000}});
  // One lane can get most of a storm that tells no time; what it makes of it would fill the test.
  env_["WEIR_LANES_MAX_DELAY"] = "1s";
  env_["WEIR_RETRY_BASE_DELAY"] = "50ms";
  env_["WEIR_RETRY_MAX_DELAY"] = "200ms";
  Location("LocCasing", {{"casing", "camel"}});
  Location("LocNoTotal", {{"total_is", 0}});
  Location("LocGrows", {{"total_is", 1'000'000'000}});
  Location("LocShrinks", {{"total_off", -1500}});
  Faults({{{"match", "LocStorm"}, {"action", "status"}, {"status", 429}, {"every", 3}, {"times", 20}},
          {{"regex", "LocRepeats.*limit=100"}, {"action", "repeat_page"}},
          {{"match", "LocGone"},
           {"action", "status"},
           {"status", 403},
           {"content_type", "application/json"},
           {"body", R"({"statusCode":403,"message":"The token does not have access to this location."})"},
           {"skip", 12}}});
  StartCluster();
  std::map<std::string, std::int64_t> jobs;
  for (const std::string& location : all) jobs[location] = Ask(location);
  ASSERT_TRUE(AwaitEnded());
  for (const char* whole : {"LocFine", "LocCasing", "LocStorm", "LocNoTotal", "LocGrows", "LocShrinks"}) {
    // Who tells of more than came may be hiding some.
    EXPECT_EQ(StateOf(jobs[whole]), whole == std::string("LocGrows") ? "partial" : "succeeded") << whole;
    ExpectCopy("highlevel", whole);
  }
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks where account = 'LocStorm'"), 0);
  const auto classes_of = [&](const char* account) {
    return Text(
        fmt::format("select string_agg(distinct error_class, ' ') from weir.tasks where account = '{}' and "
                    "state = 'dead'",
                    account));
  };
  EXPECT_EQ(classes_of("LocRepeats"), "transient") << "it was read again";
  EXPECT_EQ(classes_of("LocGone"), "auth");
  EXPECT_NE(StateOf(jobs["LocGone"]), "succeeded");
  EXPECT_GT(Number("select count(*) from highlevel.opportunities where account = 'LocGone'"), 0)
      << "it vanished in the middle";
  EXPECT_EQ(Number("select count(*) from highlevel.opportunities where stale_at is not null"), 0);
  EXPECT_EQ(Number("select count(distinct account) from weir.tasks where state = 'dead'"), 2);
  EXPECT_GE(Answered("429"), 3) << "a storm";
  EXPECT_GE(Answered("403"), 1);
  const std::int64_t refused = Answered("422");
  EXPECT_GE(refused, 1);
  EXPECT_LE(refused, 4) << "one at most for each lane before the other casing is remembered";
  ExpectCountersAddUp();
  ExpectLagGone();
}

// The upstream counts a location's requests, and refuses one too many: three workers keep to it together,
// also when one of them dies with what it knew.
TEST_F(ApacheKafkaHighLevel, ALocationsQuotaIsKeptByAllWorkersTogether) {
  env_["WEIR_SOURCES_HIGHLEVEL_QUOTA"] = "20/1s, 100000/day";
  Configure({kNorth});
  Location(kNorth, {{"add", 9'000}, {"burst", 20}, {"interval_ms", 1'000}, {"daily", 100'000}});
  StartCluster();
  const std::int64_t job = Ask(kNorth);
  ASSERT_TRUE(AwaitFetched(3'000));
  Member& member = *members_.front();
  Kill(member);
  Forget(member);
  StartWorker();
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(StateOf(job), "succeeded");
  EXPECT_EQ(Answered("429"), 0);
  ExpectCopy("highlevel", kNorth);
  ExpectLagGone();
}

// Records come, go and change all the time.
TEST_F(ApacheKafkaHighLevel, WorkersKilledStoppedAndCutOff) {
  Configure({kNorth});
  Location(kNorth, {{"add", 16'000}, {"churn", {{"every", 1}, {"remove", 2}, {"insert", 2}, {"update", 3}}}});
  Control("settings", {{"latency_ms", 60}});
  StartCluster();
  Ask(kNorth);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(AwaitFetched(1'000 * (i + 1)));
    const auto at = std::uniform_int_distribution<std::size_t>(0, members_.size() - 1)(Random());
    Member& member = *members_[at];
    Kill(member);
    Forget(member);
    StartWorker();
  }
  // One sleeps past its leases, and goes on when others have its lanes.
  const std::int64_t before = Fetched();
  members_.front()->process->Signal(SIGSTOP);
  ASSERT_TRUE(AwaitFetched(before + 1'000));
  members_.front()->process->Signal(SIGCONT);
  database_net_->ResetAll();
  ASSERT_TRUE(AwaitFetched(before + 2'000));
  kafka_->Kill();
  ASSERT_TRUE(kafka_->Restart());
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(Number("select count(*) from weir.jobs where state <> 'succeeded'"), 0);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state <> 'done'"), 0);
  EXPECT_GT(Facts()["removed"].get<int>(), 100);
  ExpectSurvivors(kNorth);
  ExpectCountersAddUp();
  ExpectLagGone();
}

class ApacheKafkaHighLevelOAuth : public ApacheKafkaHighLevel {
 protected:
  void SetUp() override {
    ApacheKafkaHighLevel::SetUp();
    env_["HL_ID"] = "client-1";
    env_["HL_SECRET"] = "s3cr3t-of-client";
    env_["HL_REFRESH"] = "rt-0";
    env_["WEIR_ENCRYPTION_KEY"] = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
    Configure({kNorth},
              "{client_id: env:HL_ID, client_secret: env:HL_SECRET, refresh_token: env:HL_REFRESH}");
    Authorise("rt-0");
    Location(kNorth, {{"add", 4000}});
  }
  void Authorise(const std::string& refresh_token) const {
    Location(kNorth, {{"static_token", false},
                      {"revoke", true},
                      {"client_id", "client-1"},
                      {"client_secret", "s3cr3t-of-client"},
                      {"refresh_token", refresh_token}});
  }
  // Everything anew with another refresh token; the job is replayed.
  void AuthoriseAgain(std::int64_t job) {
    Authorise("rt-new");
    producer_.reset();
    members_.clear();
    env_["HL_REFRESH"] = "rt-new";
    StartCluster();
    const Outcome replayed = Weir({"replay", std::to_string(job), "--class", "auth"});
    EXPECT_EQ(replayed.Status(), 0) << replayed.err;
    ASSERT_TRUE(AwaitEnded());
    EXPECT_EQ(StateOf(job), "succeeded");
    ExpectCopy("highlevel", kNorth);
    EXPECT_EQ(Facts()["reused"], 0);
    ExpectLagGone();
  }
};

TEST_F(ApacheKafkaHighLevelOAuth, RevokedInTheMiddleItIsRenewedOnceForAllWorkers) {
  Control("settings", {{"latency_ms", 30}});
  StartCluster();
  const std::int64_t job = Ask(kNorth);
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(AwaitFetched(900 * i));
    Location(kNorth, {{"revoke", true}});
    ASSERT_TRUE(process::WaitUntil([&] { return Facts()["refreshes"] == i + 1; }, kPatience)) << Facts();
  }
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(StateOf(job), "succeeded");
  EXPECT_EQ(Facts()["refreshes"], 4);
  EXPECT_EQ(Facts()["reused"], 0);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state <> 'done'"), 0);
  ExpectCopy("highlevel", kNorth);
  ExpectLagGone();
}

TEST_F(ApacheKafkaHighLevelOAuth, KilledInMidRefreshNobodySpendsTheTokenAgain) {
  Faults({{{"match", "/oauth/token"}, {"action", "stall"}, {"after", -1}}});
  StartCluster();
  const std::int64_t job = Ask(kNorth);
  WaitForRequests("highlevel.token", 1);
  const std::string owner = Text("select owner from weir.tasks where state = 'running'");
  const auto victim =
      std::find_if(members_.begin(), members_.end(), [&](const auto& m) { return m->id == owner; });
  ASSERT_NE(victim, members_.end()) << owner;
  Member& killed = **victim;
  Kill(killed);
  Forget(killed);
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(StateOf(job), "failed");
  EXPECT_EQ(Requests("highlevel.token"), 1);
  EXPECT_THAT(Text("select error_class || ' ' || error_hint from weir.job_accounts"),
              AllOf(HasSubstr("auth "), HasSubstr("authorise the account again")));
  EXPECT_EQ(Text("select state from weir.credentials"), "lost");
  Faults(Json::array());
  AuthoriseAgain(job);
}

TEST_F(ApacheKafkaHighLevelOAuth, AnAnswerThatIsLostIsSaidAndNotTriedAgain) {
  Faults({{{"match", "/oauth/token"}, {"action", "reset"}, {"after", 5}, {"times", 1}}});
  StartCluster();
  const std::int64_t job = Ask(kNorth);
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(StateOf(job), "failed");
  EXPECT_EQ(Requests("highlevel.token"), 1);
  const Outcome status = Weir({"status", std::to_string(job), "--watch"});
  EXPECT_EQ(status.Status(), 4) << status.err;
  EXPECT_THAT(status.err, HasSubstr("authorise the account again"));
  AuthoriseAgain(job);
}

}  // namespace
}  // namespace weir::faults
