#pragma once

#include <chrono>
#include <cstdint>

namespace weir::kafka {

// An eventfd that librdkafka's queues and other threads raise and one thread waits on. Raised signals add up
// to one wake.
class WakeSignal {
 public:
  WakeSignal();
  ~WakeSignal();
  WakeSignal(const WakeSignal&) = delete;
  WakeSignal& operator=(const WakeSignal&) = delete;

  int fd() const { return fd_; }
  // Any thread.
  void Raise() const;
  // Waits until raised, interrupted by a signal or `timeout`, and lowers it.
  void Wait(std::chrono::milliseconds timeout) const;

  // The bytes that raise it, for rd_kafka_queue_io_event_enable.
  static constexpr std::uint64_t kOne = 1;

 private:
  int fd_ = -1;
};

}  // namespace weir::kafka
