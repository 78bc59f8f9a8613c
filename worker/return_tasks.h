#pragma once

#include <chrono>
#include <vector>

#include "common/pg/session.h"
#include "worker/delivery.h"
#include "worker/finished_queue.h"
#include "worker/lane_scheduler.h"

namespace weir::worker {

// A lane that waits longer than this has its delivered tasks put back into the ledger, so that no partition
// stands still for it (DESIGN §5).
inline constexpr std::chrono::milliseconds kLongWait{5'000};

// Puts delivered, unclaimed tasks back into the ledger and is finished with their messages; the dispatcher
// sends them again when their lane may send. If the database does not answer they go back to their lanes.
void ReturnTasks(std::vector<Delivery> deliveries, pg::SessionPool& pool, LaneScheduler& scheduler,
                 FinishedQueue& finished);
// Likewise, on the caller's own session; none = the database is away.
void ReturnTasks(std::vector<Delivery> deliveries, pg::Session* session, LaneScheduler& scheduler,
                 FinishedQueue& finished);

}  // namespace weir::worker
