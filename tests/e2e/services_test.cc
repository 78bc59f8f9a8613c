// The parts that weir runs on this machine by itself: shared by several syncs, kept by `weir up`, ended by
// `weir down`.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

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
  const Outcome down = Weir({"down"});
  EXPECT_EQ(down.Status(), 0) << down.err;
  EXPECT_TRUE(process::WaitUntil([this] { return Living().empty(); }, kPatience));
  EXPECT_EQ(Weir({"down"}).Status(), 0);
  // The data is kept, and asking for it starts what it needs.
  const Outcome list = Weir({"jobs", "list", "--output", "json"});
  EXPECT_EQ(list.Status(), 0) << list.err;
  ASSERT_EQ(list.json.size(), 1u) << list.out;
  EXPECT_EQ(list.json[0]["totals"]["inserted"], 100);
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

class Workers : public OnDatabase {};

// None here and none anywhere: said at once, with what to do. One that comes is enough.
TEST_F(Workers, NoneIsSaidAtOnce) {
  Players({"lichess/alice=200"});
  StartServices();
  const auto sync = StartSync("lichess", {"alice"}, {"--workers", "0"});
  ASSERT_TRUE(sync->WaitForErr("no worker is running", Millis(10'000))) << sync->Err();
  EXPECT_THAT(sync->Err(), HasSubstr("weir-worker"));
  const auto worker = StartWorker();
  ExpectFirstSync(Finish(*sync), 200);
  ExpectCopy("lichess", "alice");
  // A worker stopped by hand drains and ends well.
  worker->Signal(SIGTERM);
  const auto exit = worker->Wait(kPatience);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0);
}

// A database that weir has not made its tables in: said, with the command to run.
TEST_F(Workers, ADatabaseByUrlWantsToBeMigrated) {
  weir::testing::TestPostgres bare;
  env_["WEIR_DATABASE_URL"] = bare.url();
  const Outcome outcome = Sync("lichess", {"alice"});
  EXPECT_NE(outcome.Status(), 0);
  EXPECT_THAT(outcome.err, HasSubstr("weir migrate up"));
}

TEST_F(Workers, ADeadlineEndsWhatIsUnfinished) {
  env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "100";
  Players({"lichess/alice=2000"});
  SetPace(200, 200);
  const Outcome late = Sync("lichess", {"alice"}, {"--deadline", "5s"});
  EXPECT_EQ(late.Status(), 8) << late.err;
  ExpectShape(late, "expired");
  const std::int64_t held = Number("select count(*) from lichess.games");
  EXPECT_EQ(late.Total("inserted"), held);
  SetPace(0, 0);
  // The same sync again is a new job that takes over what was left.
  const Outcome rest = Sync("lichess", {"alice"});
  EXPECT_EQ(rest.Status(), 0) << rest.err;
  EXPECT_NE(rest.json["job"], late.json["job"]);
  ExpectCopy("lichess", "alice");
}

}  // namespace
}  // namespace weir::e2e
