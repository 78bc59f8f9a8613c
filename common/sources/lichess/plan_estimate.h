#pragma once

#include <cstdint>
#include <vector>

#include "common/sources/lichess/lichess_plan.h"

namespace weir::lichess {

// What the tasks of PlanTasks will take: games spread evenly over the account's life, which Lichess sends at
// 20 a second to anyone and 30 to a token's owner, and 300 ms a request.
PlanEstimate EstimateTasks(const User& user, const std::vector<NewTask>& tasks, std::int64_t now_ms,
                           bool has_token);

}  // namespace weir::lichess
