// Clocks that jump by two days: no lease, retry or parked task hangs on the wall clock of a worker or a
// producer.
#include "tests/faults/wrong_clocks.h"

namespace weir::faults {
namespace {

// Back, forth and back again, each process by itself, while pages are parked, lanes throttled and leases
// renewed.
TEST_F(ApacheKafkaClock, JumpsWhileWorkGoesOn) {
  Control("settings", {{"latency_ms", 60}});
  NewClock();
  StartProducer();
  for (int i = 0; i < 3; ++i) {
    NewClock();
    StartWorker();
  }
  Faults(Json::array({{{"regex", "/games/20"}, {"action", "status"}, {"status", 503}, {"every", 9}},
                      {{"match", "/api/games/user"},
                       {"action", "status"},
                       {"status", 429},
                       {"retry_after", "date:+2"},
                       {"every", 11}}}));
  Make({"chesscom", "hikaru", 4'000});
  Make({"lichess", "alice", 6'000});
  Enqueue("chesscom", {"hikaru"});
  Enqueue("lichess", {"alice"});
  ASSERT_TRUE(AwaitFetched(100)) << members_.front()->process->Err();
  for (int round = 0; round < 6; ++round) {
    for (std::size_t i = 0; i < clocks_.size(); ++i) {
      // Never twice the same, and all back at the end: what waits for a time of a clock then waits longest.
      const int step = round == 5 ? 0 : 1 + static_cast<int>(Random()() % 2);
      at_[i] = round == 5 ? -kTwoDays : kTwoDays * ((at_[i] / kTwoDays + 1 + step) % 3 - 1);
      clocks_[i]->Set(hours(at_[i]));
    }
    const std::int64_t fetched = Fetched();
    ASSERT_TRUE(AwaitFetched(fetched + 300, Millis(30'000)))
        << "round " << round << ": " << producer_->Err() << members_.front()->process->Err();
  }
  Control("settings", {{"latency_ms", 0}});
  Faults(Json::array());
  ASSERT_TRUE(AwaitEnded(Millis(60'000)));
  ExpectWhole();
  ExpectDay(*producer_, -hours(kTwoDays));
  // Whoever joins late finds its way, too.
  Member& late = StartWorker();
  EXPECT_TRUE(late.process->WaitForErr("partitions assigned", kPatience)) << late.process->Err();
  ExpectDay(*late.process, -hours(kTwoDays));
}

}  // namespace
}  // namespace weir::faults
