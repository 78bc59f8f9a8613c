// What a user does, on services that nobody configured and on a database by URL: first syncs, incremental
// ones, "import more", bounds in time. The oracle: the tables equal the upstream, and the numbers add up.
#include <fmt/core.h>

#include <gmock/gmock.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

// Changes when any row of the table is written, be it with the same contents.
std::string Versions(const std::string& table) {
  return "select md5(string_agg(ctid::text || xmin::text, ',' order by ctid)) from " + table;
}

TEST_F(OnDatabase, IncrementalAsksOnlyForWhatCanHaveChanged) {
  Players({"lichess/alice=800;ongoing=3", "chesscom/hikaru=600"});
  StartServices();
  ExpectFirstSync(Sync("lichess", {"alice"}), 800);
  ExpectFirstSync(Sync("chesscom", {"hikaru"}), 600);
  EXPECT_EQ(Number("select count(*) from weir.watched"), 3);
  const std::int64_t months = Requests("chesscom.month");
  EXPECT_GT(months, 20);

  // Months later two correspondence games end, and there are new ones.
  Control("games/finish", {{"source", "lichess"}, {"player", "alice"}, {"n", 2}});
  AddGames("lichess", "alice", 5);
  AddGames("chesscom", "hikaru", 4);
  Control("reset", Json::object());
  const Outcome lichess = Sync("lichess", {"alice"});
  const Outcome chesscom = Sync("chesscom", {"hikaru"});
  EXPECT_EQ(lichess.Total("inserted"), 5) << lichess.out;
  EXPECT_EQ(lichess.Total("updated"), 2);
  EXPECT_EQ(lichess.Total("unchanged"), 1);  // the game that goes on
  EXPECT_EQ(Number("select count(*) from weir.watched"), 1);
  EXPECT_EQ(Requests("lichess.user"), 1);
  EXPECT_EQ(Requests("lichess.games"), 1);
  EXPECT_EQ(Requests("lichess.ids"), 1);
  EXPECT_EQ(chesscom.Total("inserted"), 4) << chesscom.out;
  EXPECT_EQ(Requests("chesscom.archives"), 1);
  EXPECT_THAT(Requests("chesscom.month"), AllOf(Ge(1), Le(2)));
  ExpectCopy("lichess", "alice");
  ExpectCopy("chesscom", "hikaru");
}

TEST_F(OnDatabase, AnUnchangedResyncWritesNoRow) {
  Players({"lichess/alice=900", "chesscom/hikaru=500"});
  StartServices();
  ExpectFirstSync(Sync("lichess", {"alice"}), 900);
  ExpectFirstSync(Sync("chesscom", {"hikaru"}), 500);
  const std::string lichess_before = Text(Versions("lichess.games"));
  const std::string chesscom_before = Text(Versions("chesscom.games"));
  const Outcome lichess = Sync("lichess", {"alice"}, {"--mode", "full"});
  EXPECT_EQ(lichess.Total("unchanged"), 900) << lichess.out;
  const Outcome chesscom = Sync("chesscom", {"hikaru"}, {"--mode", "full"});
  EXPECT_EQ(chesscom.Total("unchanged"), 500) << chesscom.out;
  EXPECT_EQ(Text(Versions("lichess.games")), lichess_before);
  EXPECT_EQ(Text(Versions("chesscom.games")), chesscom_before);
  EXPECT_EQ(Number("select count(*) from lichess.games where updated_at <> first_seen_at"), 0);
}

// A later analysis changed every fifth game: these are updated, the others untouched.
TEST_F(OnDatabase, ChangedRecordsAloneAreUpdated) {
  Players({"lichess/alice=500", "chesscom/hikaru=400"});
  StartServices();
  ExpectFirstSync(Sync("lichess", {"alice"}), 500);
  ExpectFirstSync(Sync("chesscom", {"hikaru"}), 400);
  for (const char* who : {"lichess/alice", "chesscom/hikaru"}) {
    const std::string name(who);
    const auto slash = name.find('/');
    Control("player",
            {{"source", name.substr(0, slash)}, {"name", name.substr(slash + 1)}, {"alter", {{"every", 5}}}});
  }
  const Outcome lichess = Sync("lichess", {"alice"}, {"--mode", "full"});
  EXPECT_EQ(lichess.Total("updated"), 100) << lichess.out;
  EXPECT_EQ(lichess.Total("unchanged"), 400);
  const Outcome chesscom = Sync("chesscom", {"hikaru"}, {"--mode", "full"});
  EXPECT_EQ(chesscom.Total("updated"), 80) << chesscom.out;
  EXPECT_EQ(chesscom.Total("unchanged"), 320);
  ExpectCopy("lichess", "alice");
  ExpectCopy("chesscom", "hikaru");
}

// "Import more": each run takes the next newest N.
TEST_F(OnDatabase, LimitTakesTheNewestThenTheNext) {
  Players({"lichess/alice=1000", "chesscom/hikaru=1000"});
  StartServices();
  for (const std::string source : {"lichess", "chesscom"}) {
    const std::string player = source == "lichess" ? "alice" : "hikaru";
    const std::string table = source + ".games";
    const std::string time = source == "lichess" ? "created_at" : "end_time";
    for (const std::int64_t held : {300, 600}) {
      const Outcome some = Sync(source, {player}, {"--limit", "300"});
      EXPECT_EQ(some.Status(), 0) << some.err;
      ExpectShape(some, "succeeded");
      EXPECT_EQ(some.Total("inserted"), 300) << some.out;
      EXPECT_EQ(Number("select count(*) from " + table), held);
    }
    // What is held is the newest there is: as many are not older than the oldest held. Chess.com's newest
    // months, that is: a month comes oldest first.
    std::int64_t newest = 0;
    const auto who = upstream_.world().players.Find(*sim::ParseApi(source), player);
    for (std::int64_t i = 0; i < who->Games(); ++i) newest += i >= 400 ? 1 : 0;
    EXPECT_EQ(newest, 600);
    const std::string oldest = fmt::format("to_timestamp({} / 1000)", who->TimeOf(400));
    const std::string bound =
        source == "lichess" ? oldest : fmt::format("date_trunc('month', {}, 'UTC')", oldest);
    EXPECT_EQ(Text(fmt::format("select min({}) >= {} from {}", time, bound, table)), "t");
    // New ones come on top; then the rest, which was never read.
    AddGames(source, player, 3);
    const Outcome again = Sync(source, {player}, {"--limit", "100"});
    EXPECT_EQ(again.Total("inserted"), 100) << again.out;
    const Outcome rest = Sync(source, {player}, {"--mode", "full"});
    EXPECT_EQ(rest.Total("inserted"), 303) << rest.out;
    ExpectCopy(source, player);
  }
}

// What was read is kept as ranges. An incremental sync reads what came after the oldest of it, also what lies
// between two limited syncs; what is older waits for the account's next sync without a mode.
TEST_F(OnDatabase, AfterALimitAnIncrementalSyncLeavesNoHole) {
  Players({"lichess/alice=1000", "chesscom/hikaru=1000"});  // 2019-01-01 to 2026-01-01
  StartServices();
  constexpr std::int64_t k2023 = 1'672'531'200'000;
  for (const std::string source : {"lichess", "chesscom"}) {
    const std::string player = source == "lichess" ? "alice" : "hikaru";
    const auto who = upstream_.world().players.Find(*sim::ParseApi(source), player);
    const std::int64_t first = who->FirstAtOrAfter(k2023) - 100;  // of the games that are read
    std::int64_t oldest = who->TimeOf(first);
    const Outcome early = Sync(source, {player}, {"--limit", "100", "--until", "2023-01-01"});
    EXPECT_EQ(early.Total("inserted"), 100) << early.out;
    EXPECT_EQ(Sync(source, {player}, {"--limit", "10"}).Total("inserted"), 10);
    AddGames(source, player, 5);
    const Outcome incremental = Sync(source, {player}, {"--mode", "incremental"});
    EXPECT_EQ(incremental.Status(), 0) << incremental.err;
    EXPECT_EQ(incremental.json.at("mode"), "incremental");
    const std::int64_t between = 1'005 - first - 110;
    if (source == "lichess") {
      EXPECT_EQ(incremental.Total("inserted"), between) << incremental.out;
    } else {  // a month that was begun is read whole
      EXPECT_GE(incremental.Total("inserted"), between) << incremental.out;
      oldest = Number(fmt::format(
          "select extract(epoch from date_trunc('month', to_timestamp({} / 1000), 'UTC'))::int8 * 1000",
          oldest));
    }
    ExpectCopy(source, player, fmt::format("since={}", oldest));
    const std::int64_t missing = 1'005 - Number("select count(*) from " + source + ".games");
    EXPECT_GT(missing, 400) << "what is older was asked for by nobody yet";
    const Outcome rest = Sync(source, {player});
    EXPECT_EQ(rest.json.at("mode"), "full");
    EXPECT_EQ(rest.Total("inserted"), missing) << rest.out;
    ExpectCopy(source, player);
  }
}

TEST_F(OnDatabase, SinceAndUntilBoundASync) {
  Players({"lichess/alice=1400", "chesscom/hikaru=700"});  // 2019-01-01 to 2026-01-01
  StartServices();
  const Strings bounds{"--since", "2021-03-01", "--until", "2022-07-01"};
  constexpr const char* kBetween = "since=1614556800000&until=1656633600000";
  for (const std::string source : {"lichess", "chesscom"}) {
    const std::string player = source == "lichess" ? "alice" : "hikaru";
    const Outcome part = Sync(source, {player}, bounds);
    EXPECT_EQ(part.Status(), 0) << part.err;
    ExpectShape(part, "succeeded");
    EXPECT_GT(part.Total("inserted"), 100);
    ExpectCopy(source, player, kBetween);
    // The whole afterwards, without a hole at the bounds.
    const Outcome all = Sync(source, {player}, {"--mode", "full"});
    EXPECT_EQ(all.Status(), 0) << all.err;
    ExpectCopy(source, player);
    EXPECT_EQ(part.Total("inserted") + all.Total("inserted"), source == "lichess" ? 1400 : 700);
  }
}

}  // namespace
}  // namespace weir::e2e
