#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/kafka/consumer.h"
#include "common/obs/metrics.h"
#include "worker/delivery.h"
#include "worker/finished_queue.h"
#include "worker/garbage_keeper.h"
#include "worker/lane_scheduler.h"
#include "worker/offset_tracker.h"

namespace weir::worker {

// The only one that touches Kafka (DESIGN §3). Takes messages from each partition's queue while there is
// room, hands them to the scheduler, and stores offsets of what is finished, in order, never past an
// unfinished one. One thread's but for Wake; it never waits for the database or for a producer.
class PollLoop final : public kafka::RebalanceListener {
 public:
  struct Parts {
    const Clock* clock;
    LaneScheduler* scheduler;
    FinishedQueue* finished;
    GarbageKeeper* garbage;
    Metrics* metrics;
    // Makes a client, also a new one after a fatal error or when the embedded broker moved.
    std::function<Result<std::unique_ptr<kafka::Consumer>>(kafka::RebalanceListener*)> new_consumer;
    kafka::Topics topics = {};
    // Told when partitions are gone, so that their lanes are given back soon.
    std::function<void()> revoked = {};
    std::chrono::milliseconds client_retry{500};  // between two attempts to make a client
  };
  explicit PollLoop(Parts parts) : parts_(std::move(parts)) {}
  ~PollLoop() override;

  // 1. have a client
  // 2. serve rebalances and wait for messages up to `timeout`
  // 3. store offsets of what is finished
  // 4. take new messages while there is room, round-robin over partitions
  void RunOnce(std::chrono::milliseconds timeout);
  // No new messages from now on; what is finished is still stored.
  void StopTaking() { taking_ = false; }
  // Leaves the group with the offsets of what is finished. It makes no client any more.
  void Close(std::chrono::milliseconds timeout);
  // Ends a wait of RunOnce. Any thread.
  void Wake();
  bool Ready() const { return assigned_; }
  // Why Kafka will not have this worker in its group; it makes no more client then. The poll thread's.
  const std::optional<Error>& Refused() const { return refused_; }

  void OnAssigned(const std::vector<kafka::TopicPartition>& partitions) override;
  void OnRevoked(const std::vector<kafka::TopicPartition>& partitions) override;
  void OnLost(const std::vector<kafka::TopicPartition>& partitions) override;

 private:
  struct Partition {
    std::uint64_t assignment = 0;
    OffsetTracker tracker;
    // One that the keeper has no room for; nothing is taken behind it until it has.
    std::optional<GarbageMessage> garbage;
  };

  bool HaveClient();
  void DropClient();
  void SetConsumer(std::unique_ptr<kafka::Consumer> consumer);
  void StoreFinished();
  void FinishOffset(const kafka::TopicPartition& from, std::int64_t offset, std::uint64_t assignment);
  void TakeMessages();
  bool TakeOne(const kafka::TopicPartition& from, Partition& partition);
  bool PutGarbage(Partition& partition);
  void StartOver(const kafka::TopicPartition& from, Partition& partition);
  void Forget(const std::vector<kafka::TopicPartition>& partitions);

  Parts parts_;
  // Only the poll thread changes it, under the mutex; other threads use it, under the mutex, to wake it.
  std::unique_ptr<kafka::Consumer> consumer_;
  std::mutex consumer_mutex_;
  std::map<kafka::TopicPartition, Partition> partitions_;
  std::uint64_t assignments_ = 0;
  std::chrono::milliseconds next_client_{0};
  bool taking_ = true;
  bool more_ = false;  // a partition may still hold messages that there was no room for
  bool assigned_ = false;
  bool closed_ = false;
  std::optional<Error> refused_;
};

}  // namespace weir::worker
