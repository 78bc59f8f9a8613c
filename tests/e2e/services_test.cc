// The parts that weir runs on this machine by itself: shared by several syncs, kept by `weir up`, ended by
// `weir down`.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Home : public OnNothing {};

// Two at a time on one WEIR_HOME, and the first to end does not take the parts from the other.
TEST_F(Home, TwoSyncsAtATimeShareTheParts) {
  Players({"lichess/alice=1200", "chesscom/hikaru=300"});
  SetPace(500, 500);
  const auto lichess = StartSync("lichess", {"alice"});
  const auto chesscom = StartSync("chesscom", {"hikaru"});
  const Outcome first = Finish(*chesscom);
  EXPECT_TRUE(lichess->Running());
  SetPace(0, 0);
  const Outcome second = Finish(*lichess);
  StartServices();
  ExpectFirstSync(first, 300);
  ExpectFirstSync(second, 1200);
  ExpectCopy("lichess", "alice");
  ExpectCopy("chesscom", "hikaru");
  EXPECT_EQ(Control("stats")["violations"], 0);
}

TEST_F(Home, UpKeepsThemAndDownEndsThem) {
  Players({"lichess/alice=100"});
  const Outcome up = Weir({"up", "--output", "json"});
  ASSERT_EQ(up.Status(), 0) << up.err;
  const std::string url = up.json.at("database_url");
  EXPECT_EQ(up.json.at("kafka_brokers"), Brokers());
  EXPECT_EQ(url, DatabaseUrl());
  const pid_t broker = PidOf(" broker --address-file");
  EXPECT_NE(broker, 0);
  ExpectFirstSync(Sync("lichess", {"alice"}), 100);
  ExpectCopy("lichess", "alice");
  EXPECT_EQ(PidOf(" broker --address-file"), broker);  // the same one: nothing was started
  EXPECT_EQ(Weir({"up"}).Status(), 0);                 // again is fine
  const Outcome down = Weir({"down", "--output", "json"});
  EXPECT_EQ(down.Status(), 0) << down.err;
  EXPECT_EQ(down.json, Json({{"was_running", true}, {"used_by", Json::array()}, {"home", home_}}))
      << down.out;
  EXPECT_TRUE(process::WaitUntil([this] { return Living().empty(); }, kPatience));
  const Outcome again = Weir({"down", "--output", "json"});
  EXPECT_EQ(again.Status(), 0) << again.err;
  EXPECT_EQ(again.json.at("was_running"), false) << again.out;
  // The data is kept, and asking for it starts what it needs.
  const Outcome list = Weir({"jobs", "list", "--output", "json"});
  EXPECT_EQ(list.Status(), 0) << list.err;
  ASSERT_EQ(list.json.size(), 1u) << list.out;
  EXPECT_EQ(list.json[0]["totals"]["inserted"], 100);
}

// Where both parts are configured, up has nothing to start, and says so in JSON too; their addresses, which
// may hold a password, are nobody's news.
TEST_F(Home, UpStartsNothingThatIsConfigured) {
  env_["WEIR_DATABASE_URL"] = "postgresql://weir:hidden@127.0.0.1:1/weir";
  env_["WEIR_KAFKA_BROKERS"] = "127.0.0.1:1";
  const Outcome up = Weir({"up", "--output", "json"});
  EXPECT_EQ(up.Status(), 0) << up.err;
  EXPECT_EQ(up.json, Json({{"database_url", nullptr}, {"kafka_brokers", nullptr}})) << up.out;
  EXPECT_THAT(up.err, HasSubstr("nothing to start"));
  EXPECT_THAT(up.out + up.err, Not(HasSubstr("hidden")));
  EXPECT_TRUE(Living().empty());
}

// By whoever does not know that it is used: an administrator, a service manager.
TEST_F(Home, TheSupervisorAskedToEndIsReplacedWhileASyncRuns) {
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "100";
  Players({"lichess/alice=1000"});
  SetPace(300, 300);
  const auto sync = StartSync("lichess", {"alice"});
  WaitForRequests("lichess.games", 2);
  const pid_t supervisor = PidOf(" supervise --home");
  ASSERT_NE(supervisor, 0);
  ASSERT_EQ(kill(supervisor, SIGTERM), 0);
  EXPECT_TRUE(sync->WaitForErr("starting another", kPatience)) << sync->Err();
  SetPace(0, 0);
  const Outcome outcome = Finish(*sync);
  StartServices();
  ExpectFirstSync(outcome, 1000);
  ExpectCopy("lichess", "alice");
}

// As in a container: root may then not look at what the server's user runs.
TEST_F(Home, RootWithoutPtraceUsesAndEndsItsServer) {
  if (geteuid() != 0) return;  // the server runs as the caller, who sees what is his own
  Players({"lichess/alice=100"});
  const auto run = [&](Strings arguments) {
    process::SpawnOptions options = Options("weir", std::move(arguments));
    options.argv.insert(options.argv.begin(), {"setpriv", "--bounding-set=-sys_ptrace"});
    auto process = Process::Spawn(options);
    EXPECT_TRUE(process);
    return process ? Finish(**process) : Outcome{};
  };
  const Outcome up = run({"up"});
  ASSERT_EQ(up.Status(), 0) << up.err;
  const pid_t postmaster = PidOf("/postgres -D ");
  EXPECT_NE(postmaster, 0);
  const Outcome sync = run(SyncArguments("lichess", {"alice"}));
  ASSERT_EQ(sync.Status(), 0) << sync.err;
  EXPECT_EQ(sync.Total("inserted"), 100);
  EXPECT_EQ(PidOf("/postgres -D "), postmaster) << "it was seen, and not started again";
  const Outcome down = run({"down"});
  EXPECT_EQ(down.Status(), 0) << down.err;
  EXPECT_THAT(down.err, HasSubstr("stopped"));
  EXPECT_NE(kill(postmaster, 0), 0);
  const Outcome again = run(SyncArguments("lichess", {"alice"}));
  EXPECT_EQ(again.Status(), 0) << again.err;
}

// Whoever starts weir may ignore SIGCHLD; a child's end could then not be waited for.
TEST_F(Home, AStarterThatIgnoresSigchldIsNoObstacle) {
  Players({"lichess/alice=100"});
  process::SpawnOptions options = Options("weir", SyncArguments("lichess", {"alice"}));
  options.argv.insert(options.argv.begin(), {"env", "--ignore-signal=CHLD", "--block-signal=TERM"});
  auto process = Process::Spawn(options);
  ASSERT_TRUE(process);
  const Outcome sync = Finish(**process);
  EXPECT_EQ(sync.Status(), 0) << sync.err;
  StartServices();
  ExpectFirstSync(sync, 100);
}

// A supervisor that is killed is replaced; PostgreSQL is taken over, the broker made anew.
TEST_F(Home, TheSupervisorKilledIsReplaced) {
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "100";
  Players({"lichess/alice=1000"});
  SetPace(300, 300);
  const auto sync = StartSync("lichess", {"alice"});
  WaitForRequests("lichess.games", 2);
  const pid_t supervisor = PidOf(" supervise --home");
  ASSERT_NE(supervisor, 0);
  ASSERT_EQ(kill(supervisor, SIGKILL), 0);
  ASSERT_TRUE(process::WaitUntil(
      [&] { return PidOf(" supervise --home") != 0 && PidOf(" supervise --home") != supervisor; },
      kPatience));
  SetPace(0, 0);
  const Outcome outcome = Finish(*sync);
  StartServices();
  ExpectFirstSync(outcome, 1000);
  ExpectCopy("lichess", "alice");
}

}  // namespace
}  // namespace weir::e2e
