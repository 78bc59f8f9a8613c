#pragma once

#include <fmt/core.h>

#include <string>
#include <thread>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {

// Three workers; every 0.2–3 s one is killed and replaced, while there is always work.
class ApacheKafkaKill : public FaultTest {
 protected:
  void Run(int kills) {
    Control("settings", {{"latency_ms", 60}});
    StartProducer();
    StartWorkers(3);
    Feed();
    for (int i = 0; i < kills; ++i) {
      // The pool must never run dry before the kills are over.
      if (OpenTasks() < 300) Feed();
      // A pause between two kills is part of the fault, not a wait for something.
      std::this_thread::sleep_for(Between(Millis(200), Millis(3'000)));
      const auto at = std::uniform_int_distribution<std::size_t>(0, members_.size() - 1)(Random());
      Member& member = *members_[at];
      Kill(member);
      Forget(member);
      StartWorker();
    }
    Control("settings", {{"latency_ms", 0}});
    ASSERT_TRUE(AwaitEnded(Millis(240'000)));
    ReplayPoison(kills);
    ExpectWhole();
    ExpectNothingReadTwice();
    fmt::print("{} kills, {} tasks, {} requests\n", kills, Number("select count(*) from weir.tasks"),
               upstream_.world().traffic.Log().size());
  }
  // Someone who kills workers every second may hit one page three times in a row. The ledger cannot know it
  // from a page that kills them, and gives it up; whoever operates weir knows, and replays it.
  void ReplayPoison(int kills) {
    const std::int64_t poison = Number("select count(*) from weir.tasks where error_class = 'poison'");
    fmt::print("pages hit three times in a row: {}\n", poison);
    EXPECT_LE(poison, kills / 50);
    if (poison == 0) return;
    EXPECT_EQ(Weir({"replay", "--class", "poison"}).Status(), 0);
    ASSERT_TRUE(AwaitEnded());
  }
  // Two more players, a page for each month of seven years and one for each 100 games.
  void Feed() {
    const int n = ++fed_;
    Make({"chesscom", fmt::format("hikaru{}", n), 1'500});
    Make({"lichess", fmt::format("alice{}", n), 3'000});
    Enqueue("chesscom", {fmt::format("hikaru{}", n)});
    Enqueue("lichess", {fmt::format("alice{}", n)});
    ASSERT_TRUE(process::WaitUntil(
        [&] { return TryText("select bool_and(planned) from weir.job_accounts") == "t"; }, kPatience));
  }
  int fed_ = 0;
};

}  // namespace weir::faults
