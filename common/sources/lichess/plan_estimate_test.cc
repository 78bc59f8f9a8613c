#include "common/sources/lichess/plan_estimate.h"

#include <gtest/gtest.h>

namespace weir::lichess {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000, kBorn = kNow - 100'000'000'000;

std::vector<NewTask> Planned(const User& user, const AccountState& state, PlanOptions options) {
  std::vector<NewTask> tasks;
  options.now_ms = kNow;
  EXPECT_TRUE(PlanTasks(user, state, options, [&](NewTask task) -> Result<void> {
    tasks.push_back(std::move(task));
    return {};
  }));
  return tasks;
}

TEST(LichessEstimate, AFullSyncTakesAllGamesAtTheUpstreamsPace) {
  const User user{kBorn, 6000};
  const auto tasks = Planned(user, {}, {});
  const auto anonymous = EstimateTasks(user, tasks, kNow, false);
  EXPECT_EQ(anonymous.requests, 6);
  EXPECT_EQ(anonymous.records, 6000);
  EXPECT_EQ(anonymous.time, std::chrono::milliseconds(300'000 + 6 * 300));
  EXPECT_EQ(EstimateTasks(user, tasks, kNow, true).time, std::chrono::milliseconds(200'000 + 6 * 300));
}

TEST(LichessEstimate, AnIncrementalOneTakesTheHolesShareAndTheWatchedIds) {
  const User user{kBorn, 6000};
  AccountState state;
  state.read = {{kBorn, kNow - 1'000'000'000}};
  state.watched = {"aaaaaaaa", "bbbbbbbb"};
  PlanOptions options;
  options.mode = JobMode::kIncremental;
  const auto estimate = EstimateTasks(user, Planned(user, state, options), kNow, false);
  EXPECT_EQ(estimate.requests, 2);
  EXPECT_EQ(estimate.records, 60 + 2);
}

TEST(LichessEstimate, ALimitTakesNoMoreThanItsBudgetAndNoMoreHolesThanItNeeds) {
  const User user{kBorn, 6000};
  AccountState state;
  state.read = {{kBorn + 10'000'000'000, kNow - 10'000'000'000}};  // two holes of 600 games
  PlanOptions options;
  options.filter.limit = 500;
  auto estimate = EstimateTasks(user, Planned(user, state, options), kNow, false);
  EXPECT_EQ(estimate.requests, 1);
  EXPECT_EQ(estimate.records, 500);
  options.filter.limit = 5000;
  estimate = EstimateTasks(user, Planned(user, state, options), kNow, false);
  EXPECT_EQ(estimate.requests, 2);
  EXPECT_EQ(estimate.records, 1200);
}

TEST(LichessEstimate, WithoutACountTheRecordsAreUnknown) {
  const User user{kBorn, std::nullopt};
  EXPECT_FALSE(EstimateTasks(user, Planned(user, {}, {}), kNow, false).records);
}

}  // namespace
}  // namespace weir::lichess
