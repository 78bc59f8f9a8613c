#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace weir::kafka {

// How to reach Kafka. `brokers` is a bootstrap list, or "file:PATH": the list is the text of that file, read
// when a client is made (the embedded broker listens on a port that nobody can choose, DESIGN §7).
struct ClientOptions {
  std::string brokers;
  std::map<std::string, std::string> properties;  // librdkafka's, as the user set them; may hold secrets
  std::string topic_prefix = {};                  // before the names of topics and group; see TopicsOf
  // A readable prefix; every client adds its host, process and a number, so that no two are alike.
  std::string client_id = "weir";
  // Where librdkafka's own log lines go (level as in syslog: 3 error … 7 debug); empty = nowhere, never to
  // stderr. Called on librdkafka's threads too, so it must be thread-safe, and it must not throw.
  std::function<void(int level, std::string_view text)> log = {};
};

// Only the embedded broker's address is a file.
inline bool OnEmbeddedBroker(const ClientOptions& options) { return options.brokers.starts_with("file:"); }

// The file that holds the embedded broker's address; "" for another broker.
std::string AddressFileOf(const ClientOptions& options);

// The bootstrap list of `brokers`; "" if the file is not there yet. Reads at most 4 KiB of it.
std::string ResolveBrokers(const std::string& brokers);

inline constexpr char kTaskTopic[] = "weir.tasks";
inline constexpr char kInteractiveTopic[] = "weir.tasks.interactive";
inline constexpr char kDeadLetterTopic[] = "dlq.weir.tasks";
inline constexpr char kWorkerGroup[] = "weir-workers";
inline constexpr int kTaskPartitions = 48;

// What weir's topics and its workers' group are called on a cluster.
struct Topics {
  std::string tasks = kTaskTopic, interactive = kInteractiveTopic, dead_letters = kDeadLetterTopic;
  std::string group = kWorkerGroup;
};
// Their names behind the prefix. The embedded broker is one weir's own and knows no prefix.
Topics TopicsOf(const ClientOptions& options);

}  // namespace weir::kafka
