// What a worker makes of limits: quotas, 429s and headers, on a real PostgreSQL and the sample upstream.
#include <gtest/gtest.h>

#include <cstdlib>
#include <utility>

#include "common/http/fetcher_fixture.h"
#include "tests/integration/worker_fixture.h"

namespace weir::testing {
namespace {

using std::chrono::milliseconds;

class LimitsTest : public WorkerFixture {
 protected:
  void SetUp() override { ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=900")); }
  std::int64_t Number(const std::string& sql) { return std::stoll(Text(sql)); }
  std::int64_t Requests() { return Number("select coalesce(sum(requests), 0) from weir.tasks"); }
  // Seconds until the lane may send again, by the ledger.
  std::int64_t LaneWait() {
    return Number(
        "select coalesce(ceil(extract(epoch from max(not_before) - clock_timestamp())), 0)::int8 from "
        "weir.lanes");
  }
  // Delivers what is ready and runs all of it.
  void Turn(Worker& worker) {
    for (const auto& task : Ready()) worker.Deliver(task);
    while (worker.scheduler.Queued() > 0) worker.RunOnce();
  }
  // A location whose access token is renewed.
  void BeginRenewing(const std::string& quota) {
    const auto control = [&](const std::string& body) {
      FetchOptions options;
      options.base_url = upstream_.url();
      options.user_agent = "test";
      Fetcher fetcher(options, clock_);
      HttpRequest request{"POST", "/_control/highlevel", {{"Content-Type", "application/json"}}, body};
      KeepingSink sink;
      ASSERT_TRUE(fetcher.Fetch(request, {}, sink, [] { return std::optional<Error>(); }));
      ASSERT_EQ(sink.status, 200) << sink.body;
    };
    control(
        R"({"location":"Loc","add":10,"static_token":false,"revoke":true,"client_id":"id","client_secret":"cs",
                "refresh_token":"rt-0"})");
    for (const auto& [name, value] :
         {std::pair("WEIR_TEST_ID", "id"), {"WEIR_TEST_SECRET", "cs"}, {"WEIR_TEST_RT", "rt-0"}})
      ASSERT_EQ(setenv(name, value, 1), 0);
    config_.encryption_key = Secret("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=");
    config_.sources["highlevel"].base_url = upstream_.url();
    config_.sources["highlevel"].lanes = 1;
    config_.sources["highlevel"].quota = quota;
    AccountConfig& account = config_.accounts.emplace_back();
    account.name = "Loc";
    account.source = "highlevel";
    account.secret_refs = {{"client_id", "env:WEIR_TEST_ID"},
                           {"client_secret", "env:WEIR_TEST_SECRET"},
                           {"refresh_token", "env:WEIR_TEST_RT"}};
  }
  void Throttle(const std::string& how) {
    ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/games/2","action":"status","status":429,)" + how +
                                    "}]}"));
  }
};

// A date is one from now. The job was opened hours ago.
TEST_F(LimitsTest, ARetryAfterThatIsADateCountsFromNow) {
  Worker worker(this, "a");
  auto request = Request("chesscom", {"hikaru"});
  request.now_ms = *request.now_ms - 5 * 3'600'000;
  Open(request);
  Turn(worker);
  Throttle(R"("retry_after":"date:+40")");
  Turn(worker);
  EXPECT_GT(LaneWait(), 30);
  EXPECT_LE(LaneWait(), 41);
}

TEST_F(LimitsTest, HeadersOfA429SayHowLongWhereRetryAfterDoesNot) {
  Worker worker(this, "a");
  Open(Request("chesscom", {"hikaru"}));
  Turn(worker);
  Throttle(R"("headers":{"X-RateLimit-Limit":"100","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"50"})");
  Turn(worker);
  EXPECT_GT(LaneWait(), 40);
  EXPECT_LE(LaneWait(), 50);
  EXPECT_EQ(Number("select throttles from weir.lanes"), 1);
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
}

TEST_F(LimitsTest, AWaitOverFiveSecondsHoldsNoOffset) {
  Worker worker(this, "a");
  Open(Request("chesscom", {"hikaru"}));
  Turn(worker);
  worker.finished.TakeAll();
  Throttle(R"("retry_after":"60")");
  const auto ready = Ready();
  ASSERT_GE(ready.size(), 2u);
  for (const auto& task : ready) worker.Deliver(task);
  worker.RunOnce();
  EXPECT_EQ(worker.scheduler.Queued(), 0u);
  EXPECT_EQ(worker.finished.TakeAll().size(), ready.size()) << "the offsets of all may be stored";
  EXPECT_EQ(Number("select count(*) from weir.tasks where state = 'parked'"), 1);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state in ('dispatched', 'running')"), 0);
  EXPECT_TRUE(Ready().empty()) << "nothing is sent to a lane that waits";
  // A message that comes all the same, to the lane's next owner.
  ASSERT_TRUE(worker.keeper.ReleaseAll(session_));
  Text("update weir.tasks set state = 'dispatched' where id = " + std::to_string(ready[1].id.value));
  const auto requests = Requests();
  Worker next(this, "b");
  next.Deliver(ready[1]);
  next.RunOnce();
  EXPECT_EQ(next.scheduler.Queued(), 0u);
  EXPECT_EQ(next.finished.TakeAll().size(), 1u);
  EXPECT_EQ(Text("select state from weir.tasks where id = " + std::to_string(ready[1].id.value)), "planned");
  EXPECT_EQ(Requests(), requests);
}

// The lane goes from worker to worker, now cleanly, now because one died: they share its day.
TEST_F(LimitsTest, ADaysQuotaGoesWithTheLane) {
  config_.sources["chesscom"].quota = "9/day";
  Open(Request("chesscom", {"hikaru"}));
  std::int64_t before = -1;
  for (int round = 0; Requests() != before && round < 20; ++round) {
    before = Requests();
    Worker worker(this, "worker-" + std::to_string(round));
    auto ready = Ready();
    for (const auto& task : ready) worker.Deliver(task);
    for (int i = 0; i < 2 && worker.scheduler.Queued() > 0; ++i) worker.RunOnce();
    if (round % 2 == 0) {
      ASSERT_TRUE(worker.keeper.ReleaseAll(session_));
    } else {
      Text("update weir.lanes set holder = null, lease_until = null");
    }
    Text("update weir.tasks set state = 'planned' where state = 'dispatched'");
  }
  EXPECT_LE(Requests(), 9);
  EXPECT_GE(Requests(), 9 - 4) << "each death forgoes one at most";
  EXPECT_GT(LaneWait(), 86'000);
  EXPECT_EQ(Text("select waiting_for from weir.lanes"), "quota");
  EXPECT_GT(Number("select count(*) from weir.tasks where state = 'planned'"), 0);
}

// A job's lanes were counted when it was opened; with more lanes than requests the quota would be overrun.
TEST_F(LimitsTest, AQuotaThatWasLoweredMeanwhileLeavesFewerLanes) {
  config_.sources["chesscom"].lanes = 4;
  Open(Request("chesscom", {"hikaru"}));
  config_.sources["chesscom"].quota = "2/day";
  Worker worker(this, "a");
  Turn(worker);
  EXPECT_EQ(Text("select lanes from weir.job_accounts"), "2");
  EXPECT_EQ(Requests(), 0);
  for (int i = 0; i < 5; ++i) Turn(worker);
  EXPECT_EQ(Number("select max(lane) from weir.tasks"), 1);
  EXPECT_EQ(Requests(), 2);
}

// A token that is refused costs a request. The one that follows with the new token has its own turn.
TEST_F(LimitsTest, AfterARenewalTheQuotaIsAskedAgain) {
  BeginRenewing("1/day");
  ASSERT_TRUE(upstream_.SetFaults(
      R"({"rules":[{"match":"/opportunities/search","action":"status","status":401,"times":1}]})"));
  auto request = Request("highlevel", {"Loc"});
  request.stream = "opportunities";
  Open(request);
  Worker worker(this, "a");
  Turn(worker);
  EXPECT_EQ(Text("select generation from weir.credentials"), "2") << "it was renewed";
  EXPECT_EQ(Requests(), 1) << "the refused one";
  EXPECT_GT(LaneWait(), 3'600);
  EXPECT_EQ(Text("select waiting_for from weir.lanes where not_before > now()"), "quota");
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
}

// Where a redirect leads is another request.
TEST_F(LimitsTest, ARedirectHasItsOwnTurnInTheQuota) {
  config_.sources["chesscom"].quota = "1/day";
  config_.sources["chesscom"].lanes = 1;
  ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/games/archives","action":"redirect","times":1,)"
                                  R"("location":"/pub/player/hikaru/games/archives"}]})"));
  Open(Request("chesscom", {"hikaru"}));
  Worker worker(this, "a");
  Turn(worker);
  EXPECT_EQ(Requests(), 1);
  EXPECT_GT(LaneWait(), 3'600);
  EXPECT_EQ(Text("select waiting_for from weir.lanes where not_before > now()"), "quota");
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
}

// Begun again, the page would ask for the redirect again, each time.
TEST_F(LimitsTest, AShortWaitForARedirectsTurnIsWaitedForInPlace) {
  config_.sources["chesscom"].quota = "5/1s";
  config_.sources["chesscom"].lanes = 1;
  ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/games/archives","action":"redirect","times":1,)"
                                  R"("location":"/pub/player/hikaru/games/archives"}]})"));
  Open(Request("chesscom", {"hikaru"}));
  Worker worker(this, "a");
  while (Number("select count(*) from weir.tasks where requests > 0") == 0) {
    for (const auto& task : Ready()) worker.Deliver(task);
    worker.RunOnce();
  }
  EXPECT_EQ(Text("select state || ' ' || requests from weir.tasks where requests > 0"), "done 2");
}

// Seventeen seconds to the next turn: a task that went back to the ledger for it would never get on. The lane
// owes that turn.
TEST_F(LimitsTest, ALongWaitForARedirectsTurnIsOwedByTheLane) {
  config_.sources["chesscom"].quota = "7/120s";
  config_.sources["chesscom"].lanes = 1;
  ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/games/archives","action":"redirect","times":1,)"
                                  R"("location":"/pub/player/hikaru/games/archives"}]})"));
  Open(Request("chesscom", {"hikaru"}));
  Worker worker(this, "a");
  // A slot, of 121 s for seven, begins in half a second.
  worker.limiter.SetWall(milliseconds(17'286 - 500) - clock_.Boot());
  while (Requests() == 0) {
    Text("update weir.lanes set not_before = null");
    Turn(worker);
  }
  EXPECT_EQ(Requests(), 2);
  EXPECT_GT(LaneWait(), 18) << "two turns";
}

TEST_F(LimitsTest, APageThatIsReadWholeAgainHasItsOwnTurnInTheQuota) {
  config_.sources["chesscom"].quota = "3/day";
  config_.sources["chesscom"].lanes = 1;
  config_.batch_records = 2;
  ASSERT_TRUE(
      upstream_.SetFaults(R"({"rules":[{"match":"/games/2","action":"truncate","after":12000,"times":1}]})"));
  Open(Request("chesscom", {"hikaru"}));
  Worker worker(this, "a");
  Turn(worker);  // the plan
  const auto months = Ready();
  ASSERT_FALSE(months.empty());
  worker.Deliver(months[0]);
  worker.RunOnce();
  ASSERT_EQ(Requests(), 2);
  ASSERT_EQ(Text("select state from weir.tasks where position > 0"), "parked");
  ASSERT_EQ(Text("update weir.tasks set digest = digest + 1 where position > 0 returning 1"), "1");
  Text("update weir.tasks set not_before = now() - interval '1 s' where state = 'parked'");
  Text("update weir.lanes set not_before = null");
  Turn(worker);  // the same one again: the others stay dispatched
  EXPECT_EQ(Requests(), 3) << "the second reading would have been the fourth";
  EXPECT_GT(LaneWait(), 3'600);
}

// Another token of the same app would lack the right too.
TEST_F(LimitsTest, ARightThatIsMissingSpendsNoRefreshToken) {
  BeginRenewing("100/day");
  ASSERT_TRUE(upstream_.SetFaults(
      R"({"rules":[{"match":"/opportunities/search","action":"status","status":401,)"
      R"("body":"{\"statusCode\":401,\"message\":\"The token is not authorized for this scope.\"}"}]})"));
  auto request = Request("highlevel", {"Loc"});
  request.stream = "opportunities";
  Open(request);
  Worker worker(this, "a");
  Turn(worker);
  EXPECT_EQ(Text("select generation from weir.credentials"), "1") << "the first token of all";
  EXPECT_EQ(Text("select state || ' ' || error_class from weir.tasks"), "dead auth");
  EXPECT_EQ(Requests(), 1);
}

}  // namespace
}  // namespace weir::testing
