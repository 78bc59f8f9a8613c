// Players that are unknown, closed or renamed, tokens that are refused: one bad account never stops the
// others, and the exit code says what happened.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

class Accounts : public OnDatabase {};

TEST_F(Accounts, UnknownClosedAndRenamedPlayers) {
  Players({"lichess/fine=300", "lichess/shut=300;closed", "chesscom/good=200", "chesscom/left=100;closed",
           "chesscom/oldname=150"});
  Control("player", {{"source", "chesscom"}, {"name", "oldname"}, {"renamed_to", "newname"}});
  StartServices();
  const Outcome lichess = Sync("lichess", {"nobody", "shut", "fine"});
  EXPECT_EQ(lichess.Status(), 3) << lichess.err;
  ExpectShape(lichess, "partial");
  EXPECT_EQ(lichess.Account("fine")["state"], "succeeded");
  EXPECT_EQ(lichess.Account("nobody")["error"]["class"], "gone");
  EXPECT_EQ(lichess.Account("shut")["error"]["class"], "gone");
  EXPECT_THAT(lichess.err, HasSubstr("knows no player \"nobody\""));
  ExpectCopy("lichess", "fine");

  const Outcome chesscom = Sync("chesscom", {"left", "nobody", "oldname", "good"});
  EXPECT_EQ(chesscom.Status(), 3) << chesscom.err;
  EXPECT_EQ(chesscom.Account("left")["error"]["class"], "gone");
  EXPECT_EQ(chesscom.Account("nobody")["error"]["class"], "gone");
  EXPECT_EQ(chesscom.Account("oldname")["inserted"], 150);
  EXPECT_THAT(chesscom.err, HasSubstr("410"));
  ExpectCopy("chesscom", "good");
  EXPECT_EQ(Number("select count(*) from chesscom.games where account = 'oldname'"), 150);
  // The new name is remembered: it is not asked for by the old one again.
  const std::int64_t asked = Requests("chesscom.archives", "oldname");
  const Outcome again = Sync("chesscom", {"oldname"});
  EXPECT_EQ(again.Status(), 0) << again.err;
  EXPECT_EQ(Requests("chesscom.archives", "oldname"), asked);
  EXPECT_EQ(again.Total("inserted"), 0);
}

TEST_F(Accounts, AllForTheSameReasonGiveItsCode) {
  Players({"lichess/alice=100", "lichess/bob=100", "chesscom/left=100;closed"});
  StartServices();
  const Outcome unknown = Sync("lichess", {"nobody", "noone"});
  EXPECT_EQ(unknown.Status(), 5) << unknown.err;
  ExpectShape(unknown, "failed");
  EXPECT_EQ(Sync("chesscom", {"left", "nobody"}).Status(), 5);

  env_["CHESS_TOKEN"] = "bad_token";
  std::ofstream(dir_ + "/weir.yaml") << R"(accounts:
  - {name: alice, source: lichess, secrets: {token: "env:CHESS_TOKEN"}}
  - {name: bob, source: lichess, secrets: {token: "env:CHESS_TOKEN"}}
)";
  const Outcome refused = Sync("lichess", {"alice", "bob"});
  EXPECT_EQ(refused.Status(), 4) << refused.err;
  EXPECT_EQ(refused.Account("alice")["error"]["class"], "auth");
  EXPECT_EQ(Requests("lichess.user", "alice"), 1);  // one request tells
  EXPECT_THAT(refused.err, HasSubstr("token"));
  // A misspelt option or setting is the user's error, before anything starts.
  EXPECT_EQ(Weir({"sync", "lichess/games"}).Status(), 2);
  EXPECT_EQ(Weir({"sync", "lichess/gams", "--account", "alice"}).Status(), 2);
  EXPECT_EQ(Weir({"sync", "lichess/games", "--account", "alice", "--set", "batch.recods=5"}).Status(), 2);
  EXPECT_EQ(Weir({"status", "999999"}).Status(), 5);
}

// A token refused in the middle: every open page of that account is dead after one request, the other goes
// on.
TEST_F(Accounts, ATokenRevokedInTheMiddle) {
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "50";
  env_["CHESS_TOKEN"] = "lip_one";
  std::ofstream(dir_ + "/weir.yaml") << R"(accounts:
  - {name: alice, source: lichess, secrets: {token: "env:CHESS_TOKEN"}}
)";
  Players({"lichess/alice=1000", "lichess/bob=400"});
  Faults({{{"match", "/games/user/alice"}, {"action", "status"}, {"status", 401}, {"skip", 4}}});
  const Outcome outcome = Sync("lichess", {"alice", "bob"});
  EXPECT_EQ(outcome.Status(), 3) << outcome.err;
  EXPECT_EQ(outcome.Account("bob")["inserted"], 400);
  EXPECT_EQ(outcome.Account("alice")["state"], "failed") << outcome.out;
  EXPECT_EQ(outcome.Account("alice")["pages"], 4);
  EXPECT_EQ(outcome.Account("alice")["dead_pages"], 16);
  EXPECT_EQ(Requests("lichess.games", "alice"), 5);
  ExpectCopy("lichess", "bob");
  // Replayed after mending.
  Faults(Json::array());
  EXPECT_EQ(Weir({"replay", outcome.json["job"].dump(), "--all"}).Status(), 0);
  EXPECT_EQ(Sync("lichess", {"alice", "bob"}).Status(), 0);
  ExpectCopy("lichess", "alice");
}

// The producer knows nothing of the account's token; the workers do, and read on the token's own lanes.
TEST_F(Accounts, AJobOpenedWithoutTheTokenIsReadOnTheTokensLanes) {
  Players({"lichess/alice=1000"});
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "200";
  StartServices();
  for (const bool named : {false, true}) {
    const std::string file = dir_ + "/weir.yaml";
    std::filesystem::remove(file);
    env_.erase("CHESS_TOKEN");
    // Either the account is not in its file, or the file says where a token is that is not there.
    const char* accounts = R"(accounts:
  - {name: alice, source: lichess, secrets: {token: "env:CHESS_TOKEN"}}
)";
    if (named) std::ofstream(file) << accounts;
    const Outcome opened = Weir({"enqueue", "lichess/games", "--account", "alice", "--mode", "full"});
    ASSERT_EQ(opened.Status(), 0) << opened.err;
    std::ofstream(file) << accounts;
    env_["CHESS_TOKEN"] = "lip_one";
    const Outcome outcome = Sync("lichess", {"alice"}, {"--mode", "full"});
    EXPECT_EQ(outcome.Status(), 0) << outcome.err;
    const std::string job = outcome.json["job"].dump();
    EXPECT_EQ(
        Text("select moves || ' ' || (meter ~ '^lichess:token:') from weir.job_accounts where job_id = " +
             job),
        "1 true");
    EXPECT_EQ(
        Number("select count(*) from weir.tasks t join weir.job_accounts a using (job_id, account) where "
               "t.meter <> a.meter and job_id = " +
               job),
        0);
    EXPECT_EQ(Number("select coalesce(sum(successes), 0) from weir.lanes where meter = 'lichess:anonymous'"),
              0);
    EXPECT_EQ(Number("select sum(attempts) from weir.tasks where job_id = " + job), 0);
  }
  ExpectCopy("lichess", "alice");
}

// Others can read a command line.
TEST_F(Accounts, ASettingOfTheCommandLineIsNotOnThatOfItsWorkers) {
  Players({"lichess/alice=400"});
  StartServices();
  Faults({{{"match", "/games/user/alice"}, {"action", "stall"}, {"after", -1}, {"times", 1}}});
  const auto sync = StartSync(
      "lichess", {"alice"},
      {"--workers", "1", "--set", "sources.lichess.user_agent=hush-hush", "--set", "batch.records=7"});
  WaitForRequests("lichess.games", 1);
  const std::string pid = Text("select pid from weir.workers order by started_at desc limit 1");
  std::ifstream in("/proc/" + pid + "/cmdline");
  const std::string line((std::istreambuf_iterator<char>(in)), {});
  EXPECT_THAT(line, HasSubstr("weir-worker"));
  EXPECT_THAT(line, ::testing::Not(HasSubstr("hush-hush")));
  Control("release", Json::object());
  const Outcome outcome = Finish(*sync);
  EXPECT_EQ(outcome.Status(), 0) << outcome.err;
  EXPECT_EQ(outcome.Total("inserted"), 400);
}

}  // namespace
}  // namespace weir::e2e
