#include "producer/engine/leader_service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace weir {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Passes that a test counts, waits for and makes fail. No pass touches the service's session, so no server is
// needed.
class LeaderServiceTest : public ::testing::Test {
 protected:
  LeaderService Make(milliseconds poll) {
    return LeaderService(
        {.name = "test", .database = {}, .poll = poll, .least_gap = milliseconds(1)},
        [this] { return Pass(); }, clock_);
  }
  Result<void> Pass() {
    const std::lock_guard lock(mutex_);
    ++passes_;
    changed_.notify_all();
    if (fails_) return Fail(ErrorClass::kDatabase, "the database is away");
    return {};
  }
  // A failure after half a minute.
  void AwaitPasses(int count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(30), [&] { return passes_ >= count; }));
  }
  bool Leading() {
    const std::lock_guard lock(mutex_);
    ++looks_;
    changed_.notify_all();
    return leads_;
  }
  void AwaitLooks(int count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(30), [&] { return looks_ >= count; }));
  }

  ManualClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int passes_ = 0, looks_ = 0;
  std::atomic<bool> leads_{false}, fails_{false};
};

// Nothing but the wake can explain the pass.
TEST_F(LeaderServiceTest, BeginsWhenItIsToldThatItLeads) {
  LeaderService service = Make(hours(1));
  service.Start([this] { return Leading(); });
  AwaitLooks(1);
  leads_ = true;
  service.Wake();
  AwaitPasses(1);
}

TEST_F(LeaderServiceTest, AWakeDuringAPassIsAnsweredByAnother) {
  leads_ = true;
  LeaderService service = Make(hours(1));
  service.Start([this] { return Leading(); });
  AwaitPasses(1);
  service.Wake();
  AwaitPasses(2);
}

TEST_F(LeaderServiceTest, WhoAwaitsAPassSeesOneThatBeganAfterwards) {
  leads_ = true;
  LeaderService service = Make(hours(1));
  service.Start([this] { return Leading(); });
  AwaitPasses(1);
  service.AwaitPass(seconds(30));
  const std::lock_guard lock(mutex_);
  EXPECT_GE(passes_, 2);
}

TEST_F(LeaderServiceTest, TroubleLastsUntilAPassThatWorks) {
  LeaderService service = Make(hours(1));
  fails_ = true;
  service.RunOnce();
  ASSERT_TRUE(service.Trouble());
  EXPECT_EQ(service.Trouble()->message, "the database is away");
  fails_ = false;
  service.RunOnce();
  EXPECT_FALSE(service.Trouble());
}

TEST_F(LeaderServiceTest, AStandByHasNoTrouble) {
  leads_ = fails_ = true;
  LeaderService service = Make(milliseconds(1));
  service.Start([this] { return Leading(); });
  AwaitPasses(1);
  leads_ = false;
  int looks = 0;
  {
    const std::lock_guard lock(mutex_);
    looks = looks_;
  }
  AwaitLooks(looks + 3);
  EXPECT_FALSE(service.Trouble());
}

TEST_F(LeaderServiceTest, NoPassFollowsStop) {
  leads_ = true;
  LeaderService service = Make(milliseconds(1));
  service.Start([this] { return Leading(); });
  AwaitPasses(1);
  service.Stop();
  const int passes = passes_;
  service.Wake();
  EXPECT_EQ(passes_, passes);
}

}  // namespace
}  // namespace weir
