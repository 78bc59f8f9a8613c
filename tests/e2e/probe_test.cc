// What the command line asks an upstream itself: plan, sources check, sources preview. They write no row and
// no job.
#include <gmock/gmock.h>

#include <fstream>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Probe : public OnNothing {};

// Each account by itself; one that is not there does not stop the others.
TEST_F(Probe, APlanTellsOfTasksRequestsAndRecords) {
  Players({"lichess/alice=2500", "lichess/bob=10", "chesscom/hikaru=500"});
  const Outcome plan = Weir({"plan", "lichess/games", "--account", "alice", "--account", "bob", "--account",
                             "nobody", "--output", "json"});
  EXPECT_EQ(plan.Status(), 3) << plan.err;
  const Json alice = plan.Account("alice"), bob = plan.Account("bob"), nobody = plan.Account("nobody");
  ASSERT_TRUE(alice.is_object() && bob.is_object() && nobody.is_object()) << plan.out;
  EXPECT_EQ(alice.at("mode"), "full");
  EXPECT_EQ(alice.at("records"), 2500);
  EXPECT_GT(alice.at("tasks"), 1);
  EXPECT_EQ(alice.at("requests").get<int>(),
            alice.at("tasks").get<int>() + 1);  // one asks how many there are
  EXPECT_EQ(bob.at("tasks"), 1);
  EXPECT_EQ(nobody.at("error").at("class"), "gone");
  EXPECT_EQ(nobody.at("error").at("http_status"), 404);
  EXPECT_EQ(plan.json.at("totals").at("records"), 2510);
  // Planning asked no more than that, and wrote nothing.
  EXPECT_EQ(Requests("lichess.user"), 3);
  EXPECT_EQ(Requests("lichess.games"), 0);
  EXPECT_EQ(Weir({"jobs", "list"}).Status(), 5);  // there is no database yet
}

// What a plan says of a sync is what the sync then does; after it, little is left to do.
TEST_F(Probe, APlanKeepsItsWord) {
  Players({"chesscom/hikaru=500"});
  const Strings arguments{"plan", "chesscom/games", "--account", "hikaru", "--output", "json"};
  const Json before = Weir(arguments).Account("hikaru");
  StartServices();
  const Outcome sync = Sync("chesscom", {"hikaru"});
  ExpectFirstSync(sync, 500);
  StopServices();
  EXPECT_EQ(before.at("tasks"), sync.Total("pages"));
  EXPECT_EQ(before.at("requests"), sync.Total("requests"));
  const Outcome after = Weir(arguments);  // the private PostgreSQL does not run now: it is asked all the same
  ASSERT_EQ(after.Status(), 0) << after.err;
  EXPECT_EQ(after.Account("hikaru").at("mode"), "incremental");
  EXPECT_LT(after.Account("hikaru").at("tasks"), 3);
  const Outcome jobs = Weir({"jobs", "list", "--output", "json"});
  EXPECT_EQ(jobs.json.size(), 1u) << jobs.out;
}

// What a plan and the sync after it say of the same request: mode, tasks and requests.
TEST_F(Probe, APlanWithALimitIsThatOfTheSync) {
  Players({"lichess/alice=300", "chesscom/hikaru=300"});
  StartServices();
  for (const std::string source : {"lichess", "chesscom"}) {
    const std::string player = source == "lichess" ? "alice" : "hikaru";
    const Strings arguments{"plan", source + "/games", "--account", player, "--output", "json"};
    Strings limited = arguments;
    limited.insert(limited.end(), {"--limit", "4"});
    ExpectFirstSync(Sync(source, {player}), 300);
    EXPECT_EQ(Weir(arguments).Account(player).at("mode"), "incremental");
    AddGames(source, player, 9);
    const Json plan = Weir(limited).Account(player);
    const Outcome sync = Sync(source, {player}, {"--limit", "4"});
    ExpectShape(sync, "succeeded");
    EXPECT_EQ(sync.Total("inserted"), 4) << sync.out;
    EXPECT_EQ(plan.at("mode"), "full");
    EXPECT_EQ(sync.json.at("mode"), "full");
    EXPECT_EQ(plan.at("tasks"), Number("select count(*) from weir.tasks where kind <> 0 and job_id = "
                                       "(select max(id) from weir.jobs)"));
    // What is asked for once more by id, or not at all once the limit is reached, no plan can know.
    EXPECT_LE(sync.Total("requests"), plan.at("requests").get<std::int64_t>());
  }
}

TEST_F(Probe, AnUpstreamIsChecked) {
  Players({"lichess/alice=10"});
  const Outcome all = Weir({"sources", "check", "--output", "json"});
  EXPECT_EQ(all.Status(), 0) << all.out << all.err;
  ASSERT_GE(all.json.size(), 2u) << all.out;
  const Outcome alice = Weir({"sources", "check", "lichess", "--account", "alice"});
  EXPECT_EQ(alice.Status(), 0) << alice.err;
  EXPECT_THAT(alice.out, HasSubstr("knows the account"));
  EXPECT_EQ(Weir({"sources", "check", "lichess", "--account", "nobody"}).Status(), 5);
  env_["LICHESS_TOKEN"] = "bad-token";
  std::ofstream(dir_ + "/weir.yaml")
      << "accounts: [{name: alice, source: lichess, secrets: {token: env:LICHESS_TOKEN}}]\n";
  const Outcome token = Weir({"sources", "check", "lichess", "--output", "json"});
  EXPECT_EQ(token.Status(), 4) << token.out << token.err;
  EXPECT_EQ((token.out + token.err).find("bad-token"), std::string::npos);
  env_["WEIR_SOURCES_LICHESS_BASE_URL"] = "http://127.0.0.1:1";  // nobody listens there
  const Outcome away = Weir({"sources", "check", "lichess", "--output", "json"});
  EXPECT_EQ(away.Status(), 1) << away.out << away.err;
  ASSERT_EQ(away.json.size(), 1u) << away.out;
  EXPECT_EQ(away.json[0].at("state"), "fail");
  EXPECT_THAT(away.json[0].at("error").at("hint").get<std::string>(), HasSubstr("base_url"));
}

// The newest records as they came, and as the table would hold them; the transfer of the rest is stopped.
TEST_F(Probe, APreviewShowsTheNewestRecordsAndStoresNone) {
  Players({"lichess/alice=5000", "chesscom/hikaru=300", "lichess/idle=0"});
  SetPace(50, 50);  // all of alice would take 100 s
  const Outcome raw = Weir(
      {"sources", "preview", "lichess/games", "--account", "alice", "--records", "2", "--output", "json"});
  EXPECT_EQ(raw.Status(), 0) << raw.err;
  ASSERT_EQ(raw.json.size(), 2u) << raw.out;
  EXPECT_GE(raw.json[0].at("createdAt"), raw.json[1].at("createdAt"));
  const Outcome table = Weir({"sources", "preview", "chesscom/games", "--account", "hikaru"});
  EXPECT_EQ(table.Status(), 0) << table.err;
  for (const char* text : {"RECORD 3", "white_name", "hikaru", "time_control"})
    EXPECT_THAT(table.out, HasSubstr(text));
  const Outcome none = Weir({"sources", "preview", "lichess/games", "--account", "idle"});
  EXPECT_EQ(none.Status(), 0) << none.err;
  EXPECT_THAT(none.err, HasSubstr("no records"));
  const Outcome nobody = Weir({"sources", "preview", "lichess/games", "--account", "nobody"});
  EXPECT_EQ(nobody.Status(), 5) << nobody.err;
  EXPECT_THAT(nobody.out, IsEmpty());
  EXPECT_THAT(nobody.err, HasSubstr("hint: "));
  EXPECT_EQ(Control("stats").at("violations"), 0);
}

class ProbeBusy : public OnDatabase {};

// A sync holds the lane: what is asked beside it waits for its turn, so that the upstream never sees two at
// once.
TEST_F(ProbeBusy, ItsRequestsTakeTurnsWithAWorkers) {
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "100";
  Players({"lichess/alice=1000", "lichess/bob=50"});
  SetPace(400, 400);
  const auto sync = StartSync("lichess", {"alice"});
  WaitForRequests("lichess.games", 2);
  const Outcome plan = Weir({"plan", "lichess/games", "--account", "bob", "--output", "json"});
  EXPECT_EQ(plan.Status(), 0) << plan.err;
  const Outcome synced = Finish(*sync);
  ExpectFirstSync(synced, 1000);
  EXPECT_EQ(Control("stats").at("violations"), 0);
}

}  // namespace
}  // namespace weir::e2e
