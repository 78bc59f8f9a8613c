// Clocks that are wrong by two days: no plan and no deadline hangs on that of who asked for it, of a leader
// or of a worker.
#include "tests/faults/wrong_clocks.h"

namespace weir::faults {
namespace {

// Plans and deadlines of a client, a leader and a worker whose day is another.
TEST_F(ApacheKafkaClock, PlansAndDeadlinesAreTheDatabases) {
  WrongClock& clock = NewClock();
  clock.Set(hours(kTwoDays));
  StartProducer();
  StartWorker();
  Make({"lichess", "alice", 600});
  Make({"chesscom", "hikaru", 600});
  for (const int off : {kTwoDays, -kTwoDays}) {
    clock.Set(hours(off));
    for (const char* source : {"lichess", "chesscom"}) {
      Enqueue(source, {source[0] == 'l' ? "alice" : "hikaru"});
    }
    ASSERT_TRUE(AwaitEnded());
    EXPECT_EQ(Number("select count(*) from weir.jobs where abs(now_ms - extract(epoch from created_at) * "
                     "1000) > 60000"),
              0);
    EXPECT_EQ(Number("select count(*) from weir.read_ranges where not upper(ranges) <= extract(epoch from "
                     "clock_timestamp()) * 1000"),
              0)
        << "nothing is taken for read that is still to come";
    // What is new after a sync is read by the next.
    ExpectCopy("lichess", "alice");
    ExpectCopy("chesscom", "hikaru");
    AddGames("lichess", "alice", 5);
    AddGames("chesscom", "hikaru", 5);
  }
  for (const int off : {kTwoDays, -kTwoDays}) {
    clock.Set(hours(off));
    Control("settings", {{"latency_ms", 30'000}});
    const auto begin = Steady::now();
    const Outcome late = Weir({"sync", "chesscom/games", "--account", "hikaru", "--mode", "full", "--workers",
                               "0", "--deadline", "3s", "--output", "json"});
    const auto took = std::chrono::duration_cast<Millis>(Steady::now() - begin);
    Control("settings", {{"latency_ms", 0}});
    EXPECT_EQ(late.Status(), 8) << late.err;
    EXPECT_GE(took, Millis(3'000));
    EXPECT_LT(took, Millis(20'000));
  }
  ExpectDay(*producer_, hours(kTwoDays));
  ExpectDay(*producer_, -hours(kTwoDays));
}

}  // namespace
}  // namespace weir::faults
