#include "common/sources/lichess/plan_estimate.h"

#include <algorithm>

#include "common/sources/time_windows.h"

namespace weir::lichess {
namespace {

constexpr std::int64_t kPaceAnonymous = 20, kPaceToken = 30;  // games a second
constexpr std::chrono::milliseconds kRequest{300};

struct Part {
  std::int64_t requests = 1, records = 0;
};

// Newest first through a chain of holes until the budget is spent.
Part NewestPart(const NewTask& task, std::int64_t games, TimeRange life) {
  std::vector<TimeRange> holes{{task.selector.lo, task.selector.hi}};
  if (const auto chain = NewestChain::Parse(task.selector.key)) {
    holes.insert(holes.end(), chain->rest.begin(), chain->rest.end());
  }
  const std::int64_t budget = task.budget.value_or(0);
  Part part{0, 0};
  for (const TimeRange& hole : holes) {
    if (part.requests > 0 && part.records >= budget) break;
    ++part.requests;
    part.records += Share(games, hole, life);
  }
  part.records = std::min(part.records, budget);
  return part;
}

Part PartOf(const NewTask& task, std::int64_t games, TimeRange life) {
  switch (task.selector.kind) {
    case SelectorKind::kNewest:
      return NewestPart(task, games, life);
    case SelectorKind::kIds:
      return {1, 1 + std::count(task.selector.key.begin(), task.selector.key.end(), ',')};
    default:
      return {1, Share(games, {task.selector.lo, task.selector.hi}, life)};
  }
}

}  // namespace

PlanEstimate EstimateTasks(const User& user, const std::vector<NewTask>& tasks, std::int64_t now_ms,
                           bool has_token) {
  const std::int64_t now = std::max(now_ms, kEarliestMs);
  const TimeRange life{std::clamp(user.created_ms.value_or(kEarliestMs), kEarliestMs, now), now};
  const std::int64_t games = std::max<std::int64_t>(user.games.value_or(0), 0);
  PlanEstimate estimate;
  std::int64_t records = 0;
  for (const NewTask& task : tasks) {
    const Part part = PartOf(task, games, life);
    estimate.requests += part.requests;
    records += part.records;
  }
  // Each window's share is rounded up; together they are no more than there are.
  const bool windows = std::all_of(tasks.begin(), tasks.end(), [](const NewTask& task) {
    return task.selector.kind == SelectorKind::kWindow;
  });
  if (windows) records = std::min(records, games);
  if (user.games || records > 0 || tasks.empty()) estimate.records = records;
  estimate.time = std::chrono::milliseconds(records * 1000 / (has_token ? kPaceToken : kPaceAnonymous)) +
                  estimate.requests * kRequest;
  return estimate;
}

}  // namespace weir::lichess
