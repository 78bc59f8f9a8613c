#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/kafka/client_options.h"

namespace weir::kafka::testing {

// What only a test or an operator does to a broker. Each call makes a client of its own and waits up to 20 s.
// Errors: kBroker.

struct TopicSize {
  std::string topic;
  int partitions = 0;
};

// Messages that the group has not committed as finished, over all these partitions.
Result<std::int64_t> Lag(const std::string& brokers, const std::string& group,
                         const std::vector<TopicSize>& topics);
// Messages kept in them.
Result<std::int64_t> Held(const std::string& brokers, const std::vector<TopicSize>& topics);
// Deletes all records there are (Kafka's DeleteRecords).
Result<void> Empty(const std::string& brokers, const std::vector<TopicSize>& topics);
Result<void> DeleteTopics(const std::string& brokers, const std::vector<std::string>& topics);
// Deletes the group and with it its offsets; refused while it has members.
Result<void> DeleteGroup(const std::string& brokers, const std::string& group);
// Grants `user` (as "User:NAME") READ on the group; as soon as a group has such a grant, nobody else may.
Result<void> GrantGroup(const ClientOptions& admin, const std::string& group, const std::string& user);
// The node (its id) that coordinates the group; those that lead the topic's partitions that hold messages,
// each as often as it leads one.
Result<int> Coordinator(const std::string& brokers, const std::string& group);
Result<std::vector<int>> LeadersOfHeld(const std::string& brokers, const TopicSize& topic);

}  // namespace weir::kafka::testing
