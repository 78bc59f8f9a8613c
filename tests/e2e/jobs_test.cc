// Jobs under an operator's hands: paused, resumed, cancelled, overtaken, and led by another when their leader
// is killed.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Jobs : public OnDatabase {
 protected:
  void SetUp() override {
    OnDatabase::SetUp();
    env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "200";
    env_["IMPORT_BATCH_SIZE"] = "40";
  }
  std::string OnlyJob() const { return Text("select max(id) from weir.jobs"); }
  // No request is open at the upstream any more.
  bool AwaitQuiet(Millis patience) const {
    return process::WaitUntil(
        [&] {
          std::int64_t now = 0;
          const Json stats = Control("stats");
          for (const Json& meter : stats["meters"]) now += meter["now"].get<std::int64_t>();
          return now == 0;
        },
        patience);
  }
};

TEST_F(Jobs, PauseTakesHoldOnARunningPageAndResumeGoesOn) {
  Players({"lichess/alice=1500"});
  SetPace(200, 200);
  const auto sync = StartSync("lichess", {"alice"});
  ASSERT_TRUE(AwaitFetched(100)) << sync->Err();
  const Outcome paused = Weir({"pause", OnlyJob(), "--output", "json"});
  EXPECT_EQ(paused.Status(), 0) << paused.err;
  EXPECT_EQ(paused.json.at("state"), "paused");
  EXPECT_EQ(paused.Account("alice")["state"], "paused");
  const std::int64_t held = Fetched();
  EXPECT_LT(held, 1500);
  ASSERT_TRUE(sync->WaitForErr("weir resume " + OnlyJob(), kPatience)) << sync->Err();
  ASSERT_TRUE(AwaitQuiet(kPatience));
  EXPECT_EQ(Fetched(), held);
  EXPECT_EQ(Weir({"pause", OnlyJob()}).Status(), 0);
  EXPECT_EQ(Number("select count(*) from weir.tasks where state in ('running', 'dispatched')"), 0);
  EXPECT_EQ(Weir({"resume", OnlyJob()}).Status(), 0);
  SetPace(0, 0);
  const Outcome outcome = Finish(*sync);
  ExpectFirstSync(outcome, 1500);
  ExpectCopy("lichess", "alice");
  EXPECT_EQ(Control("stats")["violations"], 0);
  EXPECT_EQ(Number("select sum(attempts) + sum(crashes) from weir.tasks"), 0);
  EXPECT_EQ(Weir({"pause", OnlyJob()}).Status(), 5);
}

// A page that says nothing for a minute does not hold its lane for as long after the cancel.
TEST_F(Jobs, CancelEndsAPageThatStandsStill) {
  Players({"lichess/alice=1000", "lichess/bob=300"});
  Faults({{{"match", "/games/user/alice"}, {"action", "stall"}, {"after", 20'000}}});
  env_["IMPORT_BATCH_SIZE"] = "5";
  StartServices();
  const auto worker = StartWorker();
  const auto sync = StartSync("lichess", {"alice"}, {"--workers", "0"});
  ASSERT_TRUE(AwaitFetched(1)) << sync->Err();
  const auto other = StartSync("lichess", {"bob"}, {"--workers", "0"});
  ASSERT_TRUE(Await("count(*) = 2 from weir.jobs"));
  const std::string job = Text("select job_id from weir.job_accounts where account = 'alice'");
  const Outcome cancelled = Weir({"cancel", job, "--output", "json"});
  EXPECT_EQ(cancelled.Status(), 0) << cancelled.err;
  EXPECT_EQ(cancelled.json.at("state"), "cancelled");
  const Outcome ended = Finish(*sync);
  EXPECT_EQ(ended.Status(), 3) << ended.err;
  ExpectShape(ended, "cancelled");
  EXPECT_GT(ended.Total("inserted"), 0);
  // The lane goes on without alice's page, whose idle timeout is a minute.
  ExpectFirstSync(Finish(*other, Millis(30'000)), 300);
  ExpectCopy("lichess", "bob");
  EXPECT_EQ(Number("select count(*) from lichess.games where account = 'alice'"), ended.Total("inserted"));
  EXPECT_TRUE(worker->Running());
}

TEST_F(Jobs, InterruptedItIsCancelledWhenThatWasAsked) {
  Players({"lichess/alice=1000"});
  SetPace(200, 200);
  const auto sync = StartSync("lichess", {"alice"}, {"--on-interrupt", "cancel"});
  ASSERT_TRUE(AwaitFetched(80)) << sync->Err();
  sync->Signal(SIGINT);
  const Outcome outcome = Finish(*sync);
  EXPECT_EQ(outcome.Status(), 130);
  ExpectShape(outcome, "cancelled");
  EXPECT_EQ(Number("select count(*) from lichess.games"), outcome.Total("inserted"));
  // The next one is a new job.
  SetPace(0, 0);
  const Outcome next = Sync("lichess", {"alice"});
  EXPECT_EQ(next.Status(), 0) << next.err;
  EXPECT_NE(next.json["job"], outcome.json["job"]);
  ExpectCopy("lichess", "alice");
}

// On the same lane, a page of the other at a time between two of theirs would be turns; this is overtaking.
TEST_F(Jobs, AnInteractiveJobOvertakesABulkJobOnItsLane) {
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "100";
  Players({"lichess/alice=4000", "lichess/bob=1000"});
  SetPace(500, 500);
  const auto bulk = StartSync("lichess", {"alice"});
  ASSERT_TRUE(AwaitFetched(300)) << bulk->Err();
  const Outcome urgent = Sync("lichess", {"bob"}, {"--priority", "interactive", "--workers", "0"});
  ExpectFirstSync(urgent, 1000);
  EXPECT_GE(Number("select count(*) from weir.tasks where job_id = " + urgent.json["job"].dump() +
                   " and kind <> 0"),
            10);
  // While its first and its last task waited for what was running, and between its plan and its first page.
  EXPECT_LE(
      Number("select count(*) from weir.tasks t, weir.jobs j where j.id = " + urgent.json["job"].dump() +
             " and t.account = 'alice' and t.finished_at between j.created_at and j.finished_at"),
      5);
  EXPECT_GT(
      Number(
          "select count(*) from weir.tasks where account = 'alice' and state in ('planned', 'dispatched')"),
      5);
  SetPace(0, 0);
  ExpectFirstSync(Finish(*bulk), 4000);
  ExpectCopy("lichess", "alice");
  ExpectCopy("lichess", "bob");
  EXPECT_EQ(Control("stats")["violations"], 0);
}

TEST_F(Jobs, AnotherServeLeadsWhenTheLeaderIsKilled) {
  Players({"lichess/alice=3000"});
  SetPace(600, 600);
  StartServices();
  constexpr const char* kLeads = "this process dispatches and coordinates now";
  const auto first = StartServe();
  ASSERT_TRUE(first->WaitForErr(kLeads, kPatience)) << first->Err();
  const auto second = StartServe();
  ASSERT_TRUE(second->WaitForErr("serving", kPatience)) << second->Err();
  const auto worker = StartWorker();
  const Outcome queued = Weir({"enqueue", "lichess/games", "--account", "alice", "--output", "json"});
  ASSERT_EQ(queued.Status(), 0) << queued.err;
  ASSERT_TRUE(AwaitFetched(400));
  EXPECT_THAT(second->Err(), Not(HasSubstr(kLeads)));
  ASSERT_TRUE(first->Kill());
  EXPECT_TRUE(second->WaitForErr(kLeads, Millis(10'000))) << second->Err();
  SetPace(0, 0);
  const Outcome outcome = Weir({"status", queued.json["job"].dump(), "--watch", "--output", "json"});
  ExpectFirstSync(outcome, 3000);
  ExpectCopy("lichess", "alice");
  for (Process* process : {second.get(), worker.get()}) {
    process->Signal(SIGTERM);
    EXPECT_TRUE(process->Wait(kPatience));
  }
}

}  // namespace
}  // namespace weir::e2e
