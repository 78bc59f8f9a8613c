#include "worker/return_tasks.h"

#include <utility>

#include "common/ledger/tasks.h"

namespace weir::worker {

void ReturnTasks(std::vector<Delivery> deliveries, pg::SessionPool& pool, LaneScheduler& scheduler,
                 FinishedQueue& finished) {
  if (deliveries.empty()) return;
  auto session = pool.Acquire();
  ReturnTasks(std::move(deliveries), session ? &**session : nullptr, scheduler, finished);
}

void ReturnTasks(std::vector<Delivery> deliveries, pg::Session* session, LaneScheduler& scheduler,
                 FinishedQueue& finished) {
  if (deliveries.empty()) return;
  std::vector<ledger::ReturnedTask> tasks;
  tasks.reserve(deliveries.size());
  for (const Delivery& delivery : deliveries) tasks.push_back({delivery.message.task, delivery.claimed});
  const bool returned = session != nullptr && ledger::ReturnTasks(*session, tasks);
  for (Delivery& delivery : deliveries) {
    if (returned) {
      finished.Push(std::move(delivery));
    } else {
      scheduler.Add(std::move(delivery));
    }
  }
}

}  // namespace weir::worker
