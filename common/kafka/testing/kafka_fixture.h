#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "common/kafka/consumer.h"
#include "common/kafka/embedded_broker.h"
#include "common/kafka/producer.h"

namespace weir::kafka::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

enum class Backend { kEmbedded, kApache };
void PrintTo(Backend backend, std::ostream* out);

// Notes what a rebalance did, and does what a test wants meanwhile.
class Recorder final : public RebalanceListener {
 public:
  std::vector<std::string> events;  // "assigned 96", "revoked 96", "lost 96"
  std::function<void(const std::vector<TopicPartition>&)> on_revoked;

  void OnAssigned(const std::vector<TopicPartition>& partitions) override { Note("assigned", partitions); }
  void OnRevoked(const std::vector<TopicPartition>& partitions) override {
    Note("revoked", partitions);
    if (on_revoked) on_revoked(partitions);
  }
  void OnLost(const std::vector<TopicPartition>& partitions) override { Note("lost", partitions); }

 private:
  void Note(const std::string& what, const std::vector<TopicPartition>& partitions) {
    events.push_back(what + " " + std::to_string(partitions.size()));
  }
};

// The same contract on the embedded broker (a fresh one a test) and on a real Apache Kafka (the address in
// WEIR_TEST_KAFKA_BROKERS; topics and groups of the test's own). Without one its tests skip, or fail where
// WEIR_REQUIRE_KAFKA=1.
class KafkaTest : public ::testing::TestWithParam<Backend> {
 protected:
  void SetUp() override;
  void TearDown() override;

  bool OnApache() const { return GetParam() == Backend::kApache; }
  ClientOptions Client() const;
  ConsumerOptions ForGroup(const std::string& group, std::vector<std::string> topics) const;
  std::unique_ptr<Consumer> Join(const ConsumerOptions& options, RebalanceListener* listener) const;
  // Sends all and requires that all are acknowledged.
  void Send(const std::vector<OutgoingMessage>& messages) const;

  // Polls until `done`; a failure after half a minute.
  static void PollUntil(const std::vector<Consumer*>& consumers, const std::function<bool()>& done);
  // Takes `count` messages of any partition.
  static std::vector<Message> Take(Consumer& consumer, std::size_t count);
  // A key that goes to this of 48 partitions.
  static std::string KeyOf(int partition);

  std::string brokers_;      // as kafka.brokers
  std::string tasks_;        // 48 partitions
  std::string interactive_;  // 48 partitions
  std::string directory_;    // of this test
  std::string unique_;       // part of names
  milliseconds session_{4'000};
  std::unique_ptr<EmbeddedBroker> embedded_;
};

// Java's murmur2 (Kafka's default partitioner), written apart from librdkafka's.
std::uint32_t Murmur2(std::string_view key);

std::string BackendName(const ::testing::TestParamInfo<Backend>& info);

}  // namespace weir::kafka::testing
