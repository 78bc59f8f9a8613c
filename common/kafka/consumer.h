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

// What a rebalance did. Called on the thread that polls, inside Poll or Close; must not throw. May call
// StoreOffset and Next of the consumer, but neither Poll nor Close.
class RebalanceListener {
 public:
  virtual ~RebalanceListener() = default;
  // These, in addition to those assigned earlier and not revoked or lost since.
  virtual void OnAssigned(const std::vector<TopicPartition>& partitions) = 0;
  // Drain: no new work of these partitions after this returns, offsets of finished work stored. Not called
  // when they were lost (`OnLost`): then nothing may be stored any more.
  virtual void OnRevoked(const std::vector<TopicPartition>& partitions) = 0;
  virtual void OnLost(const std::vector<TopicPartition>& partitions) = 0;
};

// How a group shares out its partitions (docs/adr/0010). All members of a group must do it alike.
enum class Assignment {
  kAuto,   // cooperative where librdkafka does it well, else eager
  kEager,  // "range": whenever one joins, leaves or dies, all members stop and get their partitions again
  kCooperative,  // "cooperative-sticky": only what moves from one member to another stops
};

struct ConsumerOptions {
  ClientOptions client;
  std::string group = kWorkerGroup;
  // Partition n of each is one member's, so they must have the same number of partitions.
  std::vector<std::string> topics;
  Assignment assignment = Assignment::kAuto;
  // How long a silent member keeps its partitions; at least 3.2 s (below it librdkafka 2.0.2 never joins).
  std::chrono::milliseconds session_timeout{10'000};
  std::string group_instance_id;  // static membership (StatefulSets only); empty = dynamic
  // On the embedded broker there is no group; see partition_share.h, also for `peers`: how many workers are
  // started together, this one among them.
  int peers = 1;
};

// A member of the group of workers, with one queue a partition (DESIGN §7): what is not asked for stays in
// bounded queues, so that a busy partition never holds back another and memory stays flat. One thread owns it
// and calls everything but Wake; Close drains. Destroyed without Close, it vanishes as a killed process does:
// no listener call, no commit, and its partitions are free only after the session timeout. Rebuilt by its
// owner when the broker's address changed or it failed for good.
class Consumer {
 public:
  // Errors: kConfig (a property weir relies on or librdkafka does not know; named, never its value), kBroker
  // (no address yet).
  static Result<std::unique_ptr<Consumer>> Create(ConsumerOptions options, RebalanceListener* listener);
  virtual ~Consumer() = default;

  // Serves the main queue (rebalances, errors, liveness) for up to `timeout`, woken early when a partition's
  // empty queue gets a message, by a rebalance and by Wake. A queue that still holds messages does not wake
  // again: who stopped before Next said nullopt polls without waiting when it has room again. Unreachable
  // brokers are no error (librdkafka connects again; see BrokersDown). Errors: kBroker, when the client is of
  // no more use and must be made anew; kConfig, when the group's other members share partitions out in
  // another way and did so for longer than a dead one is remembered: a new client would be refused too.
  virtual Result<void> Poll(std::chrono::milliseconds timeout) = 0;
  // The next message of one assigned partition, if one is there; never waits.
  virtual std::optional<Message> Next(const TopicPartition& partition) = 0;
  virtual std::vector<TopicPartition> Assignment() const = 0;
  // The offset after the last finished message; committed every 500 ms and on revoke. Errors: kStopped, when
  // the partition is not ours any more.
  virtual Result<void> StoreOffset(const TopicPartition& partition, std::int64_t next_offset) = 0;
  // Commits what is stored, and waits for the answer. Errors: kTransient (the broker did not take it: the
  // messages will come again).
  virtual Result<void> CommitNow() = 0;
  // Leaves the group (OnRevoked is called) and frees everything; waits up to `timeout`, the listener's own
  // time aside, and then goes without a farewell.
  virtual void Close(std::chrono::milliseconds timeout) = 0;
  // Bytes received from the brokers so far (librdkafka's statistics, a second old), to watch for prefetch
  // storms.
  virtual std::int64_t BytesReceived() const = 0;
  // Messages on the assigned partitions behind what is stored, by the same statistics.
  virtual std::int64_t Lag() const { return 0; }
  // Ends a Poll that waits, or the next one, at once. Any thread.
  virtual void Wake() {}
  // No broker could be reached at the last look.
  virtual bool BrokersDown() const { return false; }
  // A "file:" address now names other brokers than this client was made for: make it anew. Reads the file.
  virtual bool AddressChanged() const { return false; }
  // The machine's clock was set back since the last call (clock_watch.h): make a new one.
  virtual bool ClockSetBack() { return false; }
};

}  // namespace weir::kafka
