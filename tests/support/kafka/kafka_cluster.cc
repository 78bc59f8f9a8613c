#include "tests/support/kafka/kafka_cluster.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

namespace weir::testing {
namespace {

namespace fs = std::filesystem;
using process::Millis;
using process::Process;

constexpr Millis kStart{90'000};
constexpr char kPeers[] = "PEERS";  // the network of several nodes among themselves

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool IsFree(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}

// Below the range from which outgoing connections get theirs; other tests choose at the same time.
int FreePort(std::set<int>& taken) {
  static std::mt19937 random(std::random_device{}());
  for (int tries = 0; tries < 200; ++tries) {
    const int port = std::uniform_int_distribution<int>(20'000, 31'999)(random);
    if (IsFree(port) && taken.insert(port).second) return port;
  }
  return 0;
}

void Replace(std::string& text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

// Dead members are noticed as fast as librdkafka allows, a dead node after 3 s.
constexpr char kQuick[] =
    "group.min.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\nbroker.session.timeout.ms=3000\n"
    "controller.quorum.election.timeout.ms=500\ncontroller.quorum.fetch.timeout.ms=1500\n";
constexpr char kThree[] =
    "default.replication.factor=3\nmin.insync.replicas=2\noffsets.topic.replication.factor=3\n"
    "transaction.state.log.replication.factor=3\ntransaction.state.log.min.isr=2\n"
    "share.coordinator.state.topic.replication.factor=3\nshare.coordinator.state.topic.min.isr=2\n"
    "replica.lag.time.max.ms=3000\n";

}  // namespace

KafkaCluster::KafkaCluster(KafkaOptions options) : options_(std::move(options)) {
  for (int i = 0; i < options_.nodes; ++i) {
    Node& node = nodes_.emplace_back();
    node.number = i + 1;
    node.dir = fmt::format("{}/kafka-{}", options_.dir, node.number);
  }
}

KafkaCluster::~KafkaCluster() = default;

Result<void> KafkaCluster::ChoosePorts() {
  std::set<int> taken;
  for (Node& node : nodes_) {
    node.port = FreePort(taken);
    node.controller_port = FreePort(taken);
    std::vector<std::string> networks = options_.networks;
    if (nodes_.size() > 1) networks.emplace_back(kPeers);
    for (const std::string& network : networks) {
      const int port = node.network_ports[network] = FreePort(taken);
      auto& proxy = node.proxies[network];
      proxy = std::make_unique<proxy::FaultProxy>(proxy::ProxyOptions{
          .target = fmt::format("127.0.0.1:{}", port), .protocol = proxy::Protocol::kKafka});
      if (auto ok = proxy->Start(); !ok) return ok;
    }
  }
  return StartPeers();
}

// Each node has a way of its own to each other's controller, so that one node's ways can be cut.
Result<void> KafkaCluster::StartPeers() {
  for (Node& from : nodes_) {
    for (const Node& to : nodes_) {
      if (from.number == to.number) continue;
      auto& proxy = from.controllers[to.number];
      proxy = std::make_unique<proxy::FaultProxy>(
          proxy::ProxyOptions{.target = fmt::format("127.0.0.1:{}", to.controller_port)});
      if (auto ok = proxy->Start(); !ok) return ok;
    }
  }
  return {};
}

void KafkaCluster::FaultPeers(int node, bool cut) {
  proxy::ProxyFaults faults;
  faults.cut = cut;
  Node& one = nodes_.at(node);
  one.proxies.at(kPeers)->Set(faults);
  for (const auto& [number, proxy] : one.controllers) {
    proxy->Set(faults);
    nodes_.at(number - 1).controllers.at(one.number)->Set(faults);
  }
}

std::string KafkaCluster::Voters(const Node& node) const {
  std::string voters;
  for (const Node& voter : nodes_) {
    const int port =
        voter.number == node.number ? node.controller_port : node.controllers.at(voter.number)->port();
    voters += fmt::format("{}{}@127.0.0.1:{}", voters.empty() ? "" : ",", voter.number, port);
  }
  return voters;
}

// tools/kafka/server.properties.in, and what differs from it: of two lines for one key the later one counts.
Result<void> KafkaCluster::WriteProperties(const Node& node) const {
  std::string text = ReadAll(fs::path(WEIR_KAFKA_TOOLS) / "server.properties.in");
  Replace(text, "@PORT@", std::to_string(node.port));
  Replace(text, "@CONTROLLER_PORT@", std::to_string(node.controller_port));
  Replace(text, "@DIR@", node.dir);
  std::string listeners = fmt::format("PLAINTEXT://127.0.0.1:{}", node.port);
  std::string advertised = listeners;
  std::string protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT";
  for (const auto& [network, port] : node.network_ports) {
    listeners += fmt::format(",{}://127.0.0.1:{}", network, port);
    advertised += fmt::format(",{}://127.0.0.1:{}", network, node.proxies.at(network)->port());
    protocols += "," + network + ":PLAINTEXT";
  }
  text += fmt::format(
      "node.id={}\ncontroller.quorum.voters={}\nlisteners={},CONTROLLER://"
      "127.0.0.1:{}\nadvertised.listeners={}\n"
      "listener.security.protocol.map={}\ninter.broker.listener.name={}\n{}{}",
      node.number, Voters(node), listeners, node.controller_port, advertised, protocols,
      nodes_.size() > 1 ? kPeers : "PLAINTEXT", kQuick, nodes_.size() > 1 ? kThree : "");
  fs::create_directories(node.dir);
  std::ofstream file(node.dir + "/server.properties");
  file << text;
  if (!file.flush()) return Fail(ErrorClass::kConfig, "cannot write in " + node.dir);
  return {};
}

process::SpawnOptions KafkaCluster::Java(const std::vector<std::string>& arguments) const {
  process::SpawnOptions options;
  options.argv = {"java",
                  "-Xmx256m",
                  "-XX:+UseSerialGC",
                  "-XX:TieredStopAtLevel=1",
                  std::string("-Dlog4j2.configurationFile=") + WEIR_KAFKA_TOOLS + "/log4j2.properties",
                  "-cp",
                  libs_ + "/*"};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  return options;
}

Result<void> KafkaCluster::Launch(Node& node) {
  auto started = Process::Spawn(Java({"kafka.Kafka", node.dir + "/server.properties"}));
  if (!started) return Fail(started.error());
  node.process = std::move(*started);
  return {};
}

Result<void> KafkaCluster::AwaitStarted(const Node& node) {
  const auto up = [](const std::string& out, const std::string& err) {
    return out.find("Kafka Server started") != std::string::npos ||
           err.find("Kafka Server started") != std::string::npos;
  };
  if (node.process->WaitForOutput(up, kStart)) return {};
  const std::string out = node.process->Out();
  return Fail(ErrorClass::kTransient, "Apache Kafka did not start: " +
                                          out.substr(out.size() - std::min<std::size_t>(out.size(), 2'000)));
}

Result<void> KafkaCluster::Start() {
  process::SpawnOptions jars;
  jars.argv = {std::string(WEIR_KAFKA_TOOLS) + "/kafka.sh", "jars"};
  auto found = process::RunToEnd(jars, Millis(300'000));
  if (!found) return Fail(found.error());
  if (found->exit.code != 0) return Fail(ErrorClass::kConfig, "no Apache Kafka: " + found->err);
  libs_ = found->out.substr(0, found->out.find('\n'));
  if (auto ok = ChoosePorts(); !ok) return ok;
  std::vector<std::unique_ptr<Process>> formats;
  for (Node& node : nodes_) {
    if (auto ok = WriteProperties(node); !ok) return ok;
    // Any 16 bytes in base64 do for a cluster's id.
    auto format = Process::Spawn(Java({"kafka.tools.StorageTool", "format", "-t", "d2VpciBkZXYga2Fma2EgMQ",
                                       "-c", node.dir + "/server.properties"}));
    if (!format) return Fail(format.error());
    formats.push_back(std::move(*format));
  }
  for (const auto& format : formats) {
    const auto exit = format->Wait(kStart);
    if (!exit || exit->code != 0)
      return Fail(ErrorClass::kConfig, "cannot format: " + format->Out() + format->Err());
  }
  for (Node& node : nodes_) {
    if (auto ok = Launch(node); !ok) return ok;
  }
  for (const Node& node : nodes_) {
    if (auto ok = AwaitStarted(node); !ok) return ok;
  }
  return {};
}

Result<void> KafkaCluster::Restart(int node) {
  if (auto ok = Launch(nodes_.at(node)); !ok) return ok;
  return AwaitStarted(nodes_.at(node));
}

void KafkaCluster::Kill(int node) {
  nodes_.at(node).process->Kill();
  (void)nodes_.at(node).process->Wait(Millis(20'000));
}

bool KafkaCluster::Signal(int node, int signal_number) {
  return nodes_.at(node).process->Signal(signal_number);
}

std::string KafkaCluster::BrokersOf(const std::string& network) const {
  std::string brokers;
  for (const Node& node : nodes_) {
    brokers += fmt::format("{}127.0.0.1:{}", brokers.empty() ? "" : ",",
                           network.empty() ? node.port : node.proxies.at(network)->port());
  }
  return brokers;
}

std::string KafkaCluster::Log(int node) const {
  const Node& of = nodes_.at(node);
  if (!of.process) return "";
  const std::string out = of.process->Out();
  return out.substr(out.size() - std::min<std::size_t>(out.size(), 3'000));
}

}  // namespace weir::testing
