// Workers that are stopped for longer than anyone waits for them, and then go on; and a pool whose members
// come and go.
#include <fmt/core.h>
#include <signal.h>

#include <thread>

#include "tests/faults/stop_pool.h"

namespace weir::faults {
namespace {

// Past its lease, its session and its poll interval; what it read is read by others, and it writes nothing
// more.
TEST_F(ApacheKafkaStop, PastEveryTimeout) {
  for (int i = 0; i < 4; ++i) Feed();
  StartWorkers(3);
  for (int round = 0; round < 2; ++round) {
    Member* busy = nullptr;
    ASSERT_TRUE(process::WaitUntil(
        [&] {
          for (const auto& member : members_) {
            if (Running(*member) > 0) busy = member.get();
          }
          return busy != nullptr;
        },
        kPatience));
    ASSERT_TRUE(busy->process->Signal(SIGSTOP));
    const bool left = Running(*busy) > 0;
    // Others have all it was reading: they waited for the lease and for the group.
    EXPECT_TRUE(Await("count(*) = 0 from weir.tasks where state = 'running' and owner = '" + busy->id + "'",
                      Millis(30'000)));
    EXPECT_TRUE(Await("count(*) = 0 from weir.workers where id = '" + busy->id +
                      "' and seen_at > clock_timestamp() - "
                      "interval '7 s'"));
    fmt::print("stopped {} with{} pages\n", busy->id, left ? "" : "out");
    if (OpenTasks() < 100) Feed();
    ASSERT_TRUE(busy->process->Signal(SIGCONT));
  }
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  ExpectWhole();
}

// Members come and go at most half a second apart for twenty seconds: no ten of them pass without progress.
TEST_F(ApacheKafkaStop, JoinLeaveStorm) {
  for (int i = 0; i < 6; ++i) Feed();
  StartWorkers(3);
  ASSERT_TRUE(AwaitFetched(1)) << members_.front()->process->Err();
  std::vector<std::unique_ptr<Member>> leaving;
  auto advanced = Steady::now();
  Millis longest{0};
  std::int64_t fetched = Fetched();
  for (const auto end = Steady::now() + Millis(20'000); Steady::now() < end;) {
    std::this_thread::sleep_for(Between(Millis(100), Millis(500)));
    if (members_.size() < 3 || (members_.size() < 6 && Random()() % 2 == 0)) {
      StartWorker();
    } else {
      const auto at = std::uniform_int_distribution<std::size_t>(0, members_.size() - 1)(Random());
      members_[at]->process->Signal(SIGTERM);
      leaving.push_back(std::move(members_[at]));
      members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    const std::int64_t now = Fetched();
    if (now != fetched) advanced = Steady::now();
    fetched = now;
    longest = std::max(longest, std::chrono::duration_cast<Millis>(Steady::now() - advanced));
    if (OpenTasks() < 100) Feed();
  }
  fmt::print("{} left, {} came; the longest time without progress: {} ms\n", leaving.size(), started_,
             longest.count());
  EXPECT_LT(longest, Millis(10'000));
  for (const auto& member : leaving) {
    const auto exit = member->process->Wait(kPatience);
    ASSERT_TRUE(exit) << member->process->Err();
    EXPECT_EQ(exit->code, 0) << member->process->Err();
  }
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  ExpectWhole();
}

}  // namespace
}  // namespace weir::faults
