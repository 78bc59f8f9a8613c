#include "common/kafka/embedded_broker.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "common/kafka/client_config.h"

namespace weir::kafka {
namespace {

using MockHandle = std::unique_ptr<rd_kafka_mock_cluster_t, Freed<rd_kafka_mock_cluster_destroy>>;

// Written aside and renamed: who reads the file sees one whole address or none.
Result<void> WriteAddress(const std::string& path, const std::string& address) {
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  {
    std::ofstream out(temporary, std::ios::trunc);
    out << address << '\n';
    out.flush();
    if (!out) {
      std::remove(temporary.c_str());
      return Fail(ErrorClass::kBroker, fmt::format("cannot write the broker's address to {}", path));
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    std::remove(temporary.c_str());
    return Fail(ErrorClass::kBroker, fmt::format("cannot write the broker's address to {}", path));
  }
  return {};
}

// librdkafka's mock cluster answers a call that comes while it is about to wait only when that wait is over,
// after a second (seen with 2.0.2). A connection ends the wait: while this lives, one is made every few
// milliseconds.
class Nudge {
 public:
  explicit Nudge(const std::string& broker) : port_(PortOf(broker)), thread_([this] { Loop(); }) {}
  ~Nudge() {
    done_ = true;
    thread_.join();
  }

 private:
  static int PortOf(const std::string& broker) {
    return std::atoi(broker.substr(broker.rfind(':') + 1).c_str());
  }

  void Loop() const {
    while (!done_) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<std::uint16_t>(port_));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      (void)connect(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
      close(socket_fd);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  const int port_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

class MockBroker final : public EmbeddedBroker {
 public:
  static Result<std::unique_ptr<EmbeddedBroker>> Start(const std::string& address_file) {
    auto broker = std::make_unique<MockBroker>();
    if (auto started = broker->StartCluster(); !started) return Fail(std::move(started.error()));
    if (auto written = WriteAddress(address_file, broker->Brokers()); !written) {
      return Fail(std::move(written.error()));
    }
    return broker;
  }

  std::string Brokers() const override { return rd_kafka_mock_cluster_bootstraps(cluster_.get()); }

 private:
  Result<void> StartCluster() {
    // The mock cluster lives on the threads of a client that is otherwise idle and has no brokers.
    ConfHandle conf(rd_kafka_conf_new());
    rd_kafka_conf_set_opaque(conf.get(), nullptr);
    rd_kafka_conf_set_log_cb(conf.get(), [](const rd_kafka_t*, int, const char*, const char*) {});
    auto owner = MakeClient(RD_KAFKA_PRODUCER, std::move(conf));
    if (!owner) return Fail(ErrorClass::kBroker, owner.error().message);
    owner_ = std::move(*owner);
    cluster_.reset(rd_kafka_mock_cluster_new(owner_.get(), 1));
    if (cluster_ == nullptr) return Fail(ErrorClass::kBroker, "librdkafka could not start its mock cluster");
    const Nudge nudge(Brokers());
    const std::pair<const char*, int> topics[] = {
        {kTaskTopic, kTaskPartitions}, {kInteractiveTopic, kTaskPartitions}, {kDeadLetterTopic, 1}};
    for (const auto& [topic, partitions] : topics) {
      const auto error = rd_kafka_mock_topic_create(cluster_.get(), topic, partitions, 1);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return Fail(ErrorClass::kBroker, fmt::format("topic {}: {}", topic, rd_kafka_err2str(error)));
      }
    }
    return {};
  }

  ClientHandle owner_;
  MockHandle cluster_;  // goes before its owner
};

}  // namespace

Result<std::unique_ptr<EmbeddedBroker>> EmbeddedBroker::Start(const std::string& address_file) {
  return MockBroker::Start(address_file);
}

}  // namespace weir::kafka
