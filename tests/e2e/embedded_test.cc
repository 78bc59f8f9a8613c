// Syncs on the parts that weir runs on this machine by itself, also when these are killed meanwhile.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

TEST_F(OnNothing, BothStreamsFullThenIncremental) {
  Players({"lichess/alice=1500", "lichess/bob=700", "chesscom/hikaru=900"});
  const Outcome lichess = Sync("lichess", {"alice", "bob"});
  EXPECT_THAT(lichess.err, HasSubstr("the data stays in the private PostgreSQL; to look at it: weir up"));
  const Outcome chesscom = Sync("chesscom", {"hikaru"});
  // Nothing of it runs any more, and the data is kept.
  EXPECT_TRUE(process::WaitUntil([this] { return Living().empty(); }, kPatience));
  StartServices();
  ExpectFirstSync(lichess, 2200);
  EXPECT_EQ(lichess.Account("alice")["fetched"], 1500);
  ExpectFirstSync(chesscom, 900);
  EXPECT_EQ(lichess.json["mode"], "full");
  for (const char* player : {"alice", "bob"}) ExpectCopy("lichess", player);
  ExpectCopy("chesscom", "hikaru");

  // 7 new games, and no other is asked for.
  AddGames("lichess", "alice", 7);
  const Outcome more = Sync("lichess", {"alice"});
  EXPECT_EQ(more.Status(), 0) << more.err;
  ExpectShape(more, "succeeded");
  EXPECT_EQ(more.json["mode"], "incremental");
  EXPECT_EQ(more.Total("inserted"), 7);
  EXPECT_EQ(more.Total("fetched"), 7);
  ExpectCopy("lichess", "alice");
  EXPECT_EQ(Number("select count(*) from lichess.games where (moves is null) <> (raw->>'moves' is null) or "
                   "white_name is distinct from raw->'players'->'white'->'user'->>'name'"),
            0);
}

TEST_F(OnNothing, ThePrivatePostgresKilled) {
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "200";
  env_["IMPORT_BATCH_SIZE"] = "40";
  Players({"lichess/alice=1600"});
  SetPace(500, 500);
  const auto sync = StartSync("lichess", {"alice"});
  WaitForRequests("lichess.games", 3);
  std::ifstream file(home_ + "/postgres/postmaster.pid");
  pid_t postmaster = 0;
  ASSERT_TRUE(file >> postmaster);
  ASSERT_EQ(kill(postmaster, SIGKILL), 0);
  WaitForRequests("lichess.games", 5);
  SetPace(0, 0);
  const Outcome outcome = Finish(*sync);
  StartServices();
  ExpectFirstSync(outcome, 1600);
  ExpectCopy("lichess", "alice");
}

class EmbeddedBroker : public OnDatabase {
 protected:
  EmbeddedBroker() : OnDatabase(Broker::kEmbedded) {}
};

TEST_F(EmbeddedBroker, TheBrokerKilledForgetsAndTheLedgerDoesNot) {
  Players({"chesscom/hikaru=1000"});
  Control("settings", {{"latency_ms", 40}});
  const auto sync = StartSync("chesscom", {"hikaru"});
  WaitForRequests("chesscom.month", 15);
  const pid_t broker = PidOf(" broker --address-file");
  ASSERT_NE(broker, 0);
  ASSERT_EQ(kill(broker, SIGKILL), 0);
  ASSERT_TRUE(process::WaitUntil(
      [&] { return PidOf(" broker --address-file") != 0 && PidOf(" broker --address-file") != broker; },
      kPatience));
  ExpectFirstSync(Finish(*sync), 1000);
  ExpectCopy("chesscom", "hikaru");
}

}  // namespace
}  // namespace weir::e2e
