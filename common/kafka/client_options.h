#pragma once

#include <functional>
#include <map>
#include <string>

namespace weir::kafka {

// How to reach Kafka. `brokers` is a bootstrap list, or "file:PATH": the list is the text of that file, read
// when a client is made (the embedded broker listens on a port that nobody can choose, DESIGN §7).
struct ClientOptions {
  std::string brokers;
  std::map<std::string, std::string> properties;  // librdkafka's, as the user set them; may hold secrets
  std::string client_id = "weir";
};

// The bootstrap list of `brokers`; "" if the file is not there yet.
std::string ResolveBrokers(const std::string& brokers);

inline constexpr char kTaskTopic[] = "weir.tasks";
inline constexpr char kInteractiveTopic[] = "weir.tasks.interactive";
inline constexpr char kDeadLetterTopic[] = "dlq.weir.tasks";
inline constexpr int kTaskPartitions = 48;

}  // namespace weir::kafka
