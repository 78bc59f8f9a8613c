#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <vector>

#include "common/base/ids.h"

namespace weir::worker {

// The tasks in the hands of this worker's executors: from before a task is claimed until it is finished with
// or back in its lane's queue. The keeper writes them to the ledger, which takes back what a worker has
// claimed but does not hold (common/ledger/dispatch.h, RequeueLost). Thread-safe.
class HeldTasks {
 public:
  void Add(TaskId task) {
    const std::lock_guard lock(mutex_);
    tasks_.insert(task.value);
  }
  void Remove(TaskId task) {
    const std::lock_guard lock(mutex_);
    const auto one = tasks_.find(task.value);
    if (one != tasks_.end()) tasks_.erase(one);
  }
  std::vector<std::int64_t> All() const {
    const std::lock_guard lock(mutex_);
    return {tasks_.begin(), tasks_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::multiset<std::int64_t> tasks_;  // a second message of a task may be in another executor's hands
};

}  // namespace weir::worker
