// Programs that are killed while a sync runs: workers, `weir sync` itself; the database out of reach.
// Afterwards the tables equal the upstream and the numbers are those of a run without it.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "common/kafka/producer.h"
#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Lt;
using Steady = std::chrono::steady_clock;

class Crash : public OnDatabase {
 protected:
  void SetUp() override {
    OnDatabase::SetUp();
    env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "200";
    env_["IMPORT_BATCH_SIZE"] = "40";
  }
  // The worker that reads a page now.
  pid_t BusyWorker() const {
    return static_cast<pid_t>(Number(
        "select w.pid from weir.tasks t join weir.workers w on w.id = t.owner where t.state = 'running'"));
  }
};

// Each time the one that is reading, as soon as it has read something: its lane must go on elsewhere within
// 10 seconds, also when it had only just come from another one that was killed.
TEST_F(Crash, AWorkerKilledTenTimes) {
  Players({"lichess/alice=3000"});
  SetPace(300, 300);
  const auto sync = StartSync("lichess", {"alice"});
  int killed = 0;
  std::vector<std::int64_t> took;
  for (std::int64_t held = 0; killed < 10; ++killed) {
    ASSERT_TRUE(AwaitFetched(held + 1)) << "after " << killed << " kills: " << sync->Err();
    const pid_t worker = BusyWorker();
    if (worker == 0) {
      --killed;
      continue;
    }
    ASSERT_EQ(kill(worker, SIGKILL), 0);
    const auto before = Steady::now();
    held = Fetched();
    ASSERT_TRUE(AwaitFetched(held + 1)) << "after " << killed << " kills: " << sync->Err();
    took.push_back(std::chrono::duration_cast<Millis>(Steady::now() - before).count());
  }
  SetPace(0, 0);
  const Outcome outcome = Finish(*sync);
  ExpectFirstSync(outcome, 3000);
  ExpectCopy("lichess", "alice");
  EXPECT_THAT(took, Each(Lt(10'000)));
  EXPECT_THAT(outcome.err, HasSubstr("a worker ended and was started again"));
  EXPECT_EQ(Control("stats")["violations"], 0);
}

// Records that are rejected, doubled or changed count once, too, however often their page was begun.
TEST_F(Crash, BadAndChangedRecordsCountAsWithoutAKill) {
  Players({"lichess/alice=1200"});
  Faults({{{"match", "/games/user/alice"}, {"action", "poison"}, {"records", {"all"}}, {"at", 30}}});
  const Strings full{"--mode", "full"};
  const auto prepare = [this] {
    Text("delete from lichess.games where hashtext(id) % 3 = 0 returning 1");
    Text("update lichess.games set content_hash = content_hash + 1 where hashtext(id) % 3 = 1 returning 1");
  };
  EXPECT_EQ(Sync("lichess", {"alice"}, full).Status(), 0);
  prepare();
  const Outcome undisturbed = Sync("lichess", {"alice"}, full);
  EXPECT_EQ(undisturbed.Status(), 0) << undisturbed.err;
  for (const char* counter : {"inserted", "updated", "unchanged", "rejected", "duplicates"})
    EXPECT_GT(undisturbed.Total(counter), 5) << counter;
  prepare();
  SetPace(300, 300);
  const std::int64_t before = Fetched();
  const auto sync = StartSync("lichess", {"alice"}, full);
  for (int killed = 0; killed < 3;) {
    ASSERT_TRUE(AwaitFetched(before + 200 * killed + 50)) << sync->Err();
    const pid_t worker = BusyWorker();
    if (worker == 0) continue;
    ASSERT_EQ(kill(worker, SIGKILL), 0);
    ++killed;
  }
  SetPace(0, 0);
  const Outcome outcome = Finish(*sync);
  ExpectShape(outcome, "succeeded");
  for (const char* counter :
       {"pages", "fetched", "inserted", "updated", "unchanged", "rejected", "duplicates", "stale"})
    EXPECT_EQ(outcome.Total(counter), undisturbed.Total(counter)) << counter;
  ExpectCopy("lichess", "alice");
}

// What is done is not asked for again, and the same job goes on.
TEST_F(Crash, ASyncKilledGoesOnWhereItWas) {
  Players({"chesscom/hikaru=1200"});
  Control("settings", {{"latency_ms", 30}});
  const auto first = StartSync("chesscom", {"hikaru"});
  WaitForRequests("chesscom.month", 20);
  ASSERT_TRUE(first->Kill());
  ASSERT_TRUE(first->Wait(kPatience));
  // Its workers end with it.
  ASSERT_TRUE(process::WaitUntil([this] { return PidOf("weir-worker") == 0; }, kPatience));
  const std::int64_t done = Number("select count(*) from weir.tasks where state = 'done' and kind <> 0");
  const std::int64_t asked = Requests("chesscom.month");
  EXPECT_GE(done, 15);
  const Outcome second = Sync("chesscom", {"hikaru"});
  ExpectFirstSync(second, 1200);
  EXPECT_THAT(second.err, HasSubstr("going on with job"));
  EXPECT_EQ(Number("select count(*) from weir.jobs"), 1);
  const std::int64_t months = Number("select count(*) from weir.tasks where kind <> 0");
  EXPECT_EQ(Requests("chesscom.month") - asked, months - done);
  EXPECT_EQ(Requests("chesscom.archives"), 1);
  ExpectCopy("chesscom", "hikaru");
}

TEST_F(Crash, StoppedBySignalsAndResumed) {
  Players({"lichess/alice=1500"});
  SetPace(100, 100);  // a quarter of a minute: however slow this machine, the signals come before its end
  const auto terminated = StartSync("lichess", {"alice"});
  ASSERT_TRUE(AwaitFetched(200));
  terminated->Signal(SIGTERM);
  const Outcome first = Finish(*terminated);
  EXPECT_EQ(first.Status(), 143);
  ExpectShape(first, "running");
  EXPECT_THAT(first.err, HasSubstr("run the same sync again"));
  const std::int64_t held = Fetched();
  EXPECT_LT(held, 1500);

  const auto interrupted = StartSync("lichess", {"alice"});
  ASSERT_TRUE(AwaitFetched(held + 200));
  interrupted->Signal(SIGINT);
  const Outcome second = Finish(*interrupted);
  EXPECT_EQ(second.Status(), 130);
  EXPECT_EQ(second.json["job"], first.json["job"]);

  SetPace(0, 0);
  const Outcome third = Sync("lichess", {"alice"});
  EXPECT_EQ(third.json["job"], first.json["job"]);
  ExpectFirstSync(third, 1500);
  ExpectCopy("lichess", "alice");
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
}

// The network to the database goes away for a while, and a COMMIT is answered by silence.
TEST_F(Crash, TheDatabaseOutOfReach) {
  const auto network = ProxyDatabase();
  Players({"lichess/alice=1600"});
  SetPace(500, 500);
  const auto sync = StartSync("lichess", {"alice"});
  ASSERT_TRUE(AwaitFetched(200)) << sync->Err();
  network->CutAfterCommit(proxy::CommitCut::kReset, 3);
  ASSERT_TRUE(network->WaitForCommitCut(kPatience));
  ASSERT_TRUE(AwaitFetched(Fetched() + 80)) << sync->Err();
  network->Refuse(true);
  network->ResetAll();
  // It is away until they have tried to reach it.
  const auto refused = network->stats().accepted;
  EXPECT_TRUE(sync->WaitForErr("waits for the database: ", kPatience)) << sync->Err();
  network->Refuse(false);
  ASSERT_TRUE(process::WaitUntil([&] { return network->stats().accepted > refused; }, kPatience));
  SetPace(0, 0);
  ExpectFirstSync(Finish(*sync), 1600);
  ExpectCopy("lichess", "alice");
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"),
            0);  // nothing is spent because the database is ill
}

// Kafka may repeat, and anyone may write to a topic: every task comes twice more, to another worker too, and
// between them what is no task at all.
TEST_F(Crash, RepeatedMessagesAndGarbage) {
  Players({"lichess/alice=1600"});
  StartServices();
  SetPace(600, 600);
  const auto sync = StartSync("lichess", {"alice"});
  ASSERT_TRUE(AwaitFetched(100)) << sync->Err();
  const kafka::Topics topics = Topics();
  std::vector<kafka::OutgoingMessage> messages = EveryTask();
  ASSERT_GT(messages.size(), 10u);
  for (int i = 0; i < 40; ++i) {
    const std::string key = fmt::format("garbage{}", i);
    messages.push_back({topics.tasks, key, std::string("\xff\x00\x01 no task", 11), {}});
    messages.push_back({topics.interactive, key, "", {}});
    messages.push_back({topics.tasks, key, std::string(60'000, static_cast<char>(0x80 + i)), {}});
  }
  messages.push_back({topics.tasks, "future", "\x08\x63", {}});  // schema_version 99
  auto producer = kafka::Producer::Create(KafkaClient());
  ASSERT_TRUE(producer) << producer.error().message;
  const auto sent = (*producer)->Send(messages, std::chrono::seconds(20));
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(*sent, std::vector<bool>(messages.size(), true));
  // Each piece of garbage is kept once, with its reason, and stops nothing.
  EXPECT_TRUE(Await("count(*) = 121 and count(distinct reason) > 1 from weir.garbage"));
  SetPace(0, 0);
  ExpectFirstSync(Finish(*sync), 1600);
  ExpectCopy("lichess", "alice");
  EXPECT_EQ(Control("stats")["violations"], 0);
  EXPECT_EQ(Requests("lichess.games"), Number("select count(*) from weir.tasks where kind <> 0"));
}

}  // namespace
}  // namespace weir::e2e
