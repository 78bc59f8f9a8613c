#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/kafka/consumer.h"
#include "common/kafka/producer.h"
#include "common/obs/metrics.h"
#include "common/pg/session.h"
#include "worker/delivery.h"
#include "worker/finished_queue.h"
#include "worker/lane_scheduler.h"
#include "worker/offset_tracker.h"

namespace weir::worker {

// The only one that touches Kafka (DESIGN §3). Takes messages from each partition's queue while there is
// room, hands them to the scheduler, and stores offsets of what is finished, in order, never past an
// unfinished one. One thread's.
class PollLoop final : public kafka::RebalanceListener {
 public:
  struct Parts {
    const Clock* clock;
    LaneScheduler* scheduler;
    FinishedQueue* finished;
    pg::SessionPool* pool;
    Metrics* metrics;
    // Make clients, also anew after a fatal error or when the embedded broker moved.
    std::function<Result<std::unique_ptr<kafka::Consumer>>(kafka::RebalanceListener*)> new_consumer;
    std::function<Result<std::unique_ptr<kafka::Producer>>()> new_producer;
    kafka::Topics topics = {};
    // Told the group's name for this member whenever it gets partitions.
    std::function<void(std::string)> joined = {};
  };
  explicit PollLoop(Parts parts) : parts_(std::move(parts)) {}
  ~PollLoop() override;

  // 1. have a client
  // 2. serve rebalances and wait for messages up to `timeout`
  // 3. store offsets of what is finished; keep garbage in the ledger and on the dead-letter topic
  // 4. take new messages while there is room, round-robin over partitions
  void RunOnce(std::chrono::milliseconds timeout);
  // No new messages from now on; what is finished is still stored.
  void StopTaking() { taking_ = false; }
  // Leaves the group with the offsets of what is finished.
  void Close(std::chrono::milliseconds timeout);
  void Wake();
  bool Ready() const { return assigned_; }

  void OnAssigned(const std::vector<kafka::TopicPartition>& partitions) override;
  void OnRevoked(const std::vector<kafka::TopicPartition>& partitions) override;
  void OnLost(const std::vector<kafka::TopicPartition>& partitions) override;

 private:
  struct Partition {
    std::uint64_t assignment = 0;
    OffsetTracker tracker;
  };
  struct Garbage {
    kafka::Message message;
    std::string reason;
    std::uint64_t assignment = 0;
  };

  bool HaveClient();
  void DropClient();
  void StoreFinished();
  bool SendDeadLetter(const kafka::OutgoingMessage& message);
  void FinishOffset(const kafka::TopicPartition& from, std::int64_t offset, std::uint64_t assignment);
  void TakeMessages();
  bool TakeOne(const kafka::TopicPartition& from, Partition& partition);
  void KeepGarbage();
  void Forget(const std::vector<kafka::TopicPartition>& partitions);

  Parts parts_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::unique_ptr<kafka::Producer> producer_;
  std::map<kafka::TopicPartition, Partition> partitions_;
  std::vector<Garbage> garbage_;  // not yet kept in the ledger
  std::uint64_t assignments_ = 0;
  std::chrono::milliseconds next_client_{0};
  bool taking_ = true;
  bool more_ = false;  // a partition may still hold messages that there was no room for
  bool assigned_ = false;
};

}  // namespace weir::worker
