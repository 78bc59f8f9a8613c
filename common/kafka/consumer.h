#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/kafka/client_options.h"

namespace weir::kafka {

struct TopicPartition {
  std::string topic;
  int partition = 0;
  friend bool operator==(const TopicPartition&, const TopicPartition&) = default;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

struct Header {
  std::string name, value;
};

struct Message {
  TopicPartition from;
  std::int64_t offset = 0;
  std::string key, value;
  std::vector<Header> headers;
};

// What a rebalance did. Called on the thread that polls, inside Poll.
class RebalanceListener {
 public:
  virtual ~RebalanceListener() = default;
  virtual void OnAssigned(const std::vector<TopicPartition>& partitions) = 0;
  // Drain: no new work of these partitions after this returns, offsets of finished work stored. Not called
  // when they were lost (`OnLost`): then nothing may be stored any more.
  virtual void OnRevoked(const std::vector<TopicPartition>& partitions) = 0;
  virtual void OnLost(const std::vector<TopicPartition>& partitions) = 0;
};

struct ConsumerOptions {
  ClientOptions client;
  std::string group = "weir-workers";
  std::vector<std::string> topics;
  std::chrono::milliseconds session_timeout{10'000};
  std::string group_instance_id;  // static membership (StatefulSets only); empty = dynamic
};

// A consumer with one queue a partition (DESIGN §7): what is not asked for stays in bounded queues, so that a
// busy partition never holds back another and memory stays flat. One thread owns it and calls everything;
// Close drains. Rebuilt by its owner when the broker's address changed or it failed for good.
class Consumer {
 public:
  static Result<std::unique_ptr<Consumer>> Create(ConsumerOptions options, RebalanceListener* listener);
  virtual ~Consumer() = default;

  // Serves the main queue (rebalances, errors, liveness) for up to `timeout`, woken early by a message of any
  // partition. Errors: kBroker, when the client is of no more use and must be made anew.
  virtual Result<void> Poll(std::chrono::milliseconds timeout) = 0;
  // The next message of one assigned partition, if one is there; never waits.
  virtual std::optional<Message> Next(const TopicPartition& partition) = 0;
  virtual std::vector<TopicPartition> Assignment() const = 0;
  // The offset after the last finished message; committed every 500 ms and on revoke.
  virtual Result<void> StoreOffset(const TopicPartition& partition, std::int64_t next_offset) = 0;
  virtual Result<void> CommitNow() = 0;
  // Leaves the group (OnRevoked is called) and frees everything; waits up to `timeout`.
  virtual void Close(std::chrono::milliseconds timeout) = 0;
  // Bytes of message values handed to librdkafka so far (statistics), to watch for prefetch storms.
  virtual std::int64_t BytesReceived() const = 0;
};

}  // namespace weir::kafka
