#pragma once

#include <fmt/core.h>

#include <string>
#include <thread>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {

// Three workers; every 0.2–3 s one is killed and replaced, while there is always work.
class ApacheKafkaKill : public FaultTest {
 protected:
  // What twelve lanes read in three seconds, and more.
  static constexpr int kLatencyMs = 200, kEnough = 300;

  void Run(int kills) {
    Control("settings", {{"latency_ms", kLatencyMs}});
    env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "40";
    StartProducer();
    StartWorkers(3);
    Feed();
    int hits = 0;
    for (int i = 0; i < kills; ++i) {
      // The pool must not run dry before the next kill: that one would hit nothing.
      while (OpenTasks() < kEnough && !HasFatalFailure()) Feed();
      // A pause between two kills is part of the fault, not a wait for something.
      std::this_thread::sleep_for(Between(Millis(200), Millis(3'000)));
      Member& member = *members_[i % 2 == 0 ? AtRandom() : Reading()];
      const int before = InFlight();
      Kill(member);
      if (InFlight() > before) ++hits;
      Forget(member);
      StartWorker();
    }
    Control("settings", {{"latency_ms", 0}});
    ASSERT_TRUE(AwaitEnded(Millis(240'000)));
    ReplayPoison(kills);
    ExpectWhole();
    ExpectNothingReadTwice();
    EXPECT_GE(hits, kills / 4) << "most of those killed had nothing to do";
    fmt::print("{} kills, {} of them hit pages, {} tasks, {} requests\n", kills, hits,
               Number("select count(*) from weir.tasks"), upstream_.world().traffic.Log().size());
  }
  std::size_t AtRandom() {
    return std::uniform_int_distribution<std::size_t>(0, members_.size() - 1)(Random());
  }
  // Somebody who reads just now. A member that was killed at random may have just joined, and have no lane:
  // such kills alone prove nothing. At least one of its pages has not been hit yet: the pages that a kill
  // left are read first and, hit twice, alone, so that waiting for a reader would find the same ones again.
  std::size_t Reading() {
    const std::size_t from = AtRandom();
    std::size_t reading = from;
    EXPECT_TRUE(process::WaitUntil(
        [&] {
          const std::string readers =
              " " +
              Text(
                  "select string_agg(distinct owner, ' ') from weir.tasks where state = 'running' and "
                  "crashes = 0") +
              " ";
          for (std::size_t i = 0; i < members_.size(); ++i) {
            reading = (from + i) % members_.size();
            if (readers.find(" " + members_[reading]->id + " ") != std::string::npos) return true;
          }
          return false;
        },
        kPatience))
        << "nobody reads";
    return reading;
  }
  // Someone who kills workers every second may hit one page three times in a row. The ledger cannot know it
  // from a page that kills them, and gives it up; whoever operates weir knows, and replays it.
  void ReplayPoison(int kills) {
    const std::int64_t poison = Number("select count(*) from weir.tasks where error_class = 'poison'");
    fmt::print("pages hit three times in a row: {}\n", poison);
    EXPECT_LE(poison, 1 + kills / 50);
    if (poison == 0) return;
    EXPECT_EQ(Weir({"replay", "--class", "poison"}).Status(), 0);
    ASSERT_TRUE(AwaitEnded());
  }
  // Four more players, a page for each month of seven years and one for each 40 games: more than is read
  // until their plans are written, which wait for their turn like any page.
  void Feed() {
    Strings hikarus, alices;
    for (int i = 0; i < 2; ++i) {
      const int n = ++fed_;
      Make({"chesscom", hikarus.emplace_back(fmt::format("hikaru{}", n)), 1'500});
      Make({"lichess", alices.emplace_back(fmt::format("alice{}", n)), 3'000});
    }
    Enqueue("chesscom", hikarus);
    Enqueue("lichess", alices);
    ASSERT_TRUE(process::WaitUntil(
        [&] { return TryText("select bool_and(planned) from weir.job_accounts") == "t"; }, kPatience));
  }
  int fed_ = 0;
};

}  // namespace weir::faults
