// What a test needs as a process of its own, to kill and stop it:
//   kafka_test_process broker ADDRESS_FILE
//   kafka_test_process member BROKERS GROUP SESSION_MS TOPIC…
//   kafka_test_process cooperative BROKERS GROUP SESSION_MS TOPIC…
// It tells what happens to it in lines and ends when its input does.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "common/kafka/consumer.h"
#include "common/kafka/embedded_broker.h"

namespace {

using weir::kafka::TopicPartition;

void Say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

// True when the parent has closed our input; waits up to `timeout_ms` (-1: until then).
bool InputEnded(int timeout_ms) {
  pollfd waited{STDIN_FILENO, POLLIN, 0};
  return poll(&waited, 1, timeout_ms) > 0;
}

int RunBroker(const std::string& address_file) {
  auto broker = weir::kafka::EmbeddedBroker::Start(address_file);
  if (!broker) {
    Say("failed " + broker.error().message);
    return 1;
  }
  Say("ready " + (*broker)->Brokers());
  InputEnded(-1);
  return 0;
}

// "assigned 3 weir.tasks:0 weir.tasks:1 weir.tasks:2"
class Teller final : public weir::kafka::RebalanceListener {
 public:
  void OnAssigned(const std::vector<TopicPartition>& partitions) override { Tell("assigned", partitions); }
  void OnRevoked(const std::vector<TopicPartition>& partitions) override { Tell("revoked", partitions); }
  void OnLost(const std::vector<TopicPartition>& partitions) override { Tell("lost", partitions); }

 private:
  static void Tell(const char* what, const std::vector<TopicPartition>& partitions) {
    std::string line = fmt::format("{} {}", what, partitions.size());
    for (const auto& p : partitions) line += fmt::format(" {}:{}", p.topic, p.partition);
    Say(line);
  }
};

int RunMember(const std::vector<std::string>& arguments, weir::kafka::Assignment assignment) {
  weir::kafka::ConsumerOptions options;
  options.assignment = assignment;
  options.client.brokers = arguments.at(0);
  options.group = arguments.at(1);
  options.session_timeout = std::chrono::milliseconds(std::stoi(arguments.at(2)));
  options.topics.assign(arguments.begin() + 3, arguments.end());
  Teller teller;
  auto consumer = weir::kafka::Consumer::Create(options, &teller);
  if (!consumer) {
    Say("failed " + consumer.error().message);
    return 1;
  }
  while (!InputEnded(0)) {
    if (auto polled = (*consumer)->Poll(std::chrono::milliseconds(50)); !polled) {
      Say("failed " + polled.error().message);
      return 1;
    }
    for (const auto& partition : (*consumer)->Assignment()) {
      while (auto message = (*consumer)->Next(partition)) {
        Say(fmt::format("message {}:{} {}", partition.topic, partition.partition, message->offset));
        static_cast<void>((*consumer)->StoreOffset(partition, message->offset + 1));
      }
    }
  }
  (*consumer)->Close(std::chrono::seconds(10));
  Say("closed");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "broker") return RunBroker(arguments[1]);
  if (arguments.size() >= 5 && (arguments[0] == "member" || arguments[0] == "cooperative")) {
    return RunMember({arguments.begin() + 1, arguments.end()}, arguments[0] == "member"
                                                                   ? weir::kafka::Assignment::kEager
                                                                   : weir::kafka::Assignment::kCooperative);
  }
  fmt::print(stderr, "usage: broker ADDRESS_FILE | (member|cooperative) BROKERS GROUP SESSION_MS TOPIC…\n");
  return 2;
}
