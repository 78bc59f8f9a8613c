// Clocks that are wrong by two days, or jump by them: no lease, deadline, retry or parked task hangs on the
// wall clock of a worker or a producer, and no plan on that of who asked for it.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <ctime>
#include <map>

#include "tests/faults/fault_fixture.h"
#include "tests/support/clock/wrong_clock.h"

namespace weir::faults {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;
using weir::testing::WrongClock;

constexpr int kTwoDays = 48;

class ApacheKafkaClock : public FaultTest {
 protected:
  // What is started from here on has a clock of its own.
  WrongClock& NewClock() {
    clocks_.push_back(std::make_unique<WrongClock>(fmt::format("{}/clock{}", dir_, clocks_.size())));
    process::SpawnOptions options;
    clocks_.back()->GiveTo(options);
    for (const auto& [name, value] : options.env) env_[name] = value;
    return *clocks_.back();
  }
  // That it is as wrong as it was set to, by what the process logs.
  static void ExpectDay(const Process& process, hours off) {
    const auto then = std::chrono::system_clock::now() + off;
    const std::time_t seconds = std::chrono::system_clock::to_time_t(then);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    EXPECT_THAT(process.Err(), HasSubstr(fmt::format("{:04}-{:02}-{:02}T", utc.tm_year + 1900, utc.tm_mon + 1,
                                                     utc.tm_mday)));
  }
  std::vector<std::unique_ptr<WrongClock>> clocks_;
  std::map<std::size_t, int> at_;  // where each of them stands, in hours
};

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
                     "1000) > 2000"),
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
