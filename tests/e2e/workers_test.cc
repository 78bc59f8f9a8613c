// Workers by hand, none at all, and what ends a sync besides them: a bare database, a deadline.
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

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
  EXPECT_EQ(outcome.Status(), 2) << outcome.err;
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
