// Records and bodies made to hurt. A bad record is rejected alone, a bad body kills its task alone, and no
// body makes a worker large; a token goes to its own upstream and to nobody else.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <fstream>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kMostKib = 48 * 1024;

class Hostile : public OnDatabase {};

// Of the eleven kinds of poison, what no table can hold without changing it is rejected (U+0000, a lone
// surrogate, invalid UTF-8, no id, 100,000-deep nesting, 5 MB, 1.1 MB; and a number that would read back as
// megabytes), 30 digits are stored as they are, and of a record that comes twice the last counts.
TEST_F(Hostile, PoisonRecordsAreRejectedAlone) {
  Players({"lichess/alice=400", "chesscom/hikaru=300"});
  Faults(
      {{{"match", "/games/user/alice"}, {"action", "poison"}, {"records", {"all"}}, {"at", 20}, {"times", 1}},
       {{"match", "/hikaru/games/20"}, {"action", "poison"}, {"records", {"all"}}, {"at", 1}, {"times", 1}}});
  for (const std::string source : {"lichess", "chesscom"}) {
    const std::string player = source == "lichess" ? "alice" : "hikaru";
    const std::int64_t games = source == "lichess" ? 400 : 300;
    const Outcome outcome = Sync(source, {player});
    EXPECT_EQ(outcome.Status(), 0) << outcome.err;  // rejected records alone are no failure
    ExpectShape(outcome, "succeeded");
    EXPECT_EQ(outcome.Total("rejected"), 8) << outcome.out;
    EXPECT_EQ(outcome.Total("inserted"), games + 1);
    EXPECT_EQ(outcome.Total("duplicates"), 2);
    EXPECT_EQ(outcome.Total("fetched"), games + 11);
    EXPECT_THAT(outcome.err, HasSubstr("could not be stored"));
    EXPECT_EQ(Number("select count(*) from weir.rejects where account = '" + player + "'"), 8);
    EXPECT_EQ(
        Text(fmt::format("select raw->>'poison' from {}.games where raw->>'poison' ~ '^[0-9]+$'", source)),
        "123456789012345678901234567890");
    ExpectCopy(source, player);
  }
}

// Each account's answer is another trap; the one beside them is served. The worker is one of ours, so that
// its peak can be read at its end.
TEST_F(Hostile, NoBodyMakesAWorkerLarge) {
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "2";
  env_["WEIR_LIMITS_IDLE_TIMEOUT"] = "500ms";
  env_["WEIR_LIMITS_MAX_RESPONSE_BYTES"] = "256MiB";
  Players({"lichess/bomb=10", "lichess/spaces=10", "lichess/one=10", "lichess/records=10",
           "lichess/poison=3000", "lichess/userbomb=10", "lichess/stall=10", "lichess/fine=500"});
  Faults(
      {{{"match", "/games/user/bomb"}, {"action", "gzip_bomb"}},
       {{"match", "/games/user/spaces"}, {"action", "endless"}, {"with", "spaces"}},
       {{"match", "/games/user/one"}, {"action", "endless"}, {"with", "one_record"}},
       {{"match", "/games/user/records"}, {"action", "endless"}, {"with", "records"}, {"amount", 30'000'000}},
       {{"match", "/games/user/poison"},
        {"action", "poison"},
        {"records", {"deep", "huge", "over_cap"}},
        {"at", 40}},
       {{"match", "/api/user/userbomb"}, {"action", "gzip_bomb"}},
       {{"match", "/games/user/stall"}, {"action", "stall"}, {"after", 10}}});
  StartServices();
  const auto worker = StartWorker();
  const auto sync =
      StartSync("lichess", {"bomb", "spaces", "one", "records", "poison", "userbomb", "stall", "fine"},
                {"--workers", "0"});
  const Outcome outcome = Finish(*sync, 2 * kPatience);  // a gigabyte is unpacked on the way
  EXPECT_EQ(outcome.Status(), 3) << outcome.err;
  EXPECT_EQ(outcome.Account("fine")["inserted"], 500);
  EXPECT_EQ(outcome.Account("poison")["inserted"], 3000);
  for (const char* dead : {"bomb", "spaces", "one", "userbomb", "stall"}) {
    EXPECT_EQ(outcome.Account(dead)["state"], "failed") << dead << ": " << outcome.Account(dead);
  }
  // Many records are no trap, however many: all of the 30 MB are in the table.
  const Json records = outcome.Account("records");
  EXPECT_EQ(records["state"], "succeeded") << records;
  EXPECT_GT(records["inserted"], 600'000) << records;
  EXPECT_EQ(records["fetched"], records["inserted"]) << records;
  EXPECT_EQ(Number("select count(*) from lichess.games where account = 'records'"), records["inserted"]);
  ExpectCopy("lichess", "fine");
  ExpectCopy("lichess", "poison");
  ASSERT_TRUE(worker->Running());
  EXPECT_LT(PeakKib(worker->pid()), kMostKib);
  EXPECT_GT(PeakKib(worker->pid()), 0);
}

// The same in one array of JSON.
TEST_F(Hostile, NoArrayMakesAWorkerLarge) {
  env_["WEIR_RETRY_MAX_ATTEMPTS"] = "2";
  env_["WEIR_LIMITS_MAX_RESPONSE_BYTES"] = "256MiB";
  Players({"chesscom/bomb=20", "chesscom/spaces=20", "chesscom/one=20", "chesscom/archives=20",
           "chesscom/fine=500"});
  Faults({{{"match", "/bomb/games/20"}, {"action", "gzip_bomb"}},
          {{"match", "/spaces/games/20"}, {"action", "endless"}, {"with", "spaces"}, {"times", 2}},
          {{"match", "/one/games/20"}, {"action", "endless"}, {"with", "one_record"}, {"times", 2}},
          {{"match", "/archives/games/archives"}, {"action", "endless"}, {"with", "one_record"}}});
  // Few months, so that the traps are few.
  for (const char* player : {"bomb", "spaces", "one"}) {
    Control("player", {{"source", "chesscom"},
                       {"name", player},
                       {"games", 20},
                       {"from", "2025-01-01"},
                       {"to", "2025-02-20"}});
  }
  StartServices();
  const auto worker = StartWorker();
  const Outcome outcome = Sync("chesscom", {"bomb", "spaces", "one", "archives", "fine"}, {"--workers", "0"});
  EXPECT_EQ(outcome.Status(), 3) << outcome.err;
  EXPECT_EQ(outcome.Account("fine")["inserted"], 500);
  ExpectCopy("chesscom", "fine");
  for (const char* dead : {"bomb", "archives"}) EXPECT_EQ(outcome.Account(dead)["state"], "failed") << dead;
  for (const char* dead : {"spaces", "one"}) {  // both months of each, at a cap and not tried again
    const Json account = outcome.Account(dead);
    EXPECT_EQ(account["state"], "failed") << account;
    EXPECT_EQ(account["error"]["class"], "invalid") << account;
    EXPECT_EQ(account["dead_pages"], 2) << account;
    EXPECT_EQ(account["fetched"], 0) << account;
  }
  ASSERT_TRUE(worker->Running());
  EXPECT_LT(PeakKib(worker->pid()), kMostKib);
}

// Redirects and archives that point elsewhere: nothing is asked there, least of all with the token, which
// also appears in no log, message, error or row.
TEST_F(Hostile, ATokenGoesToItsUpstreamAlone) {
  sim::SampleUpstream elsewhere;
  ASSERT_TRUE(elsewhere.Start());
  ASSERT_TRUE(elsewhere.AddPlayer("lichess/alice=50"));
  ASSERT_TRUE(elsewhere.AddPlayer("chesscom/hikaru=50"));
  Players({"lichess/alice=300", "lichess/bob=300", "lichess/carol=200", "chesscom/hikaru=100"});
  env_["CHESS_TOKEN"] = "lip_verysecret123";
  std::ofstream(dir_ + "/weir.yaml") << R"(accounts:
  - {name: alice, source: lichess, secrets: {token: "env:CHESS_TOKEN"}}
  - {name: bob, source: lichess, secrets: {token: "env:CHESS_TOKEN"}}
  - {name: carol, source: lichess, secrets: {token: "env:CHESS_TOKEN"}}
)";
  // Another host, another port of the same, and within the origin, which is followed.
  Faults({{{"match", "/games/user/alice"},
           {"action", "redirect"},
           {"location", elsewhere.url() + "/api/games/user/alice"}},
          {{"match", "/api/user/bob"},
           {"action", "redirect"},
           {"status", 301},
           {"location", "http://127.0.0.2:" + std::to_string(upstream_.port()) + "/api/user/bob"}},
          {{"match", "/api/user/carol"},
           {"action", "redirect"},
           {"location", "/api/user/carol?again=1"},
           {"times", 1}},
          {{"match", "/hikaru/games/archives"},
           {"action", "foreign_archive"},
           {"location", elsewhere.url() + "/pub/player/hikaru/games/2018/11"}}});
  StartServices();
  const Outcome lichess = Sync("lichess", {"alice", "bob", "carol"});
  EXPECT_EQ(lichess.Status(), 3) << lichess.out << lichess.err;
  EXPECT_EQ(lichess.Account("carol")["inserted"], 200);
  EXPECT_EQ(lichess.Account("alice")["state"], "failed");
  EXPECT_EQ(lichess.Account("bob")["state"], "failed");
  const Outcome chesscom = Sync("chesscom", {"hikaru"});
  EXPECT_EQ(chesscom.json["totals"]["inserted"], 100) << chesscom.out << chesscom.err;
  ExpectCopy("chesscom", "hikaru");
  ExpectCopy("lichess", "carol");
  EXPECT_TRUE(elsewhere.world().traffic.Log().empty());
  bool used = false;
  for (const sim::Exchanged& e : upstream_.world().traffic.Log()) {
    const bool lichess_call = e.path_class.rfind("lichess", 0) == 0;
    EXPECT_EQ(e.authorization, lichess_call ? "Bearer lip_verysecret123" : "") << e.target;
    EXPECT_THAT(e.user_agent, HasSubstr("weir/"));
    used = used || lichess_call;
  }
  EXPECT_TRUE(used);
  const Outcome failures = Weir({"failures", "list", "--output", "json"});
  for (const std::string& text :
       {lichess.out, lichess.err, failures.out, Text("select string_agg(t::text, '') from weir.tasks t"),
        Text("select string_agg(l::text, '') from weir.lanes l")}) {
    EXPECT_THAT(text, Not(HasSubstr("verysecret")));
  }
  for (const char* log : {"supervisor", "broker", "worker-1", "worker-2"}) {
    std::ifstream file(home_ + "/log/" + log + ".log");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_THAT(text, Not(HasSubstr("verysecret"))) << log;
  }
}

}  // namespace
}  // namespace weir::e2e
