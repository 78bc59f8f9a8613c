#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "worker/delivery.h"

namespace weir::worker {

// Deliveries whose tasks are terminal or parked in the ledger, on their way from the executors to the poll
// loop, which alone touches Kafka. Thread-safe.
class FinishedQueue {
 public:
  // `wake` is called after each Push: the poll loop may be waiting.
  void OnPush(std::function<void()> wake) { wake_ = std::move(wake); }

  void Push(Delivery finished) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(finished));
    }
    if (wake_) wake_();
  }

  std::vector<Delivery> TakeAll() {
    std::lock_guard lock(mutex_);
    return std::exchange(queue_, {});
  }

 private:
  std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<Delivery> queue_;  // guarded by mutex_
};

}  // namespace weir::worker
