#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "tests/support/fault_proxy/fault_proxy.h"
#include "tests/support/process/process.h"

namespace weir::testing {

struct KafkaOptions {
  std::string dir;  // of the test: logs and data
  int nodes = 1;    // 1, or 3 with every topic on all of them
  // Listeners beside the direct one; each is reached through a proxy of its own.
  std::vector<std::string> networks{"NET"};  // "PEERS" is the nodes' own
};

// Apache Kafka (KRaft) on loopback. The nodes are children of the thread that started them and end with it.
// One thread's.
class KafkaCluster {
 public:
  using Millis = process::Millis;

  explicit KafkaCluster(KafkaOptions options);
  ~KafkaCluster();
  KafkaCluster(const KafkaCluster&) = delete;
  KafkaCluster& operator=(const KafkaCluster&) = delete;

  // Formats and starts all nodes and waits until they serve. Errors: kConfig (no jars, no Java), kTransient
  // (late).
  Result<void> Start();
  // Starts a node that was killed, with the data it had.
  Result<void> Restart(int node = 0);
  void Kill(int node = 0);  // SIGKILL
  bool Signal(int node, int signal_number);
  // Of three: its peers reach it no more, neither to follow what it leads nor to vote, and it reaches no
  // controller but itself; its clients reach it as ever. Until it is healed.
  void CutFromPeers(int node) { FaultPeers(node, true); }
  void HealPeers(int node) { FaultPeers(node, false); }

  // The bootstrap list of all nodes: direct, and as seen through a network.
  std::string Brokers() const { return BrokersOf(""); }
  // One node alone, direct: it tells what it knows.
  std::string BrokerAt(int node) const { return "127.0.0.1:" + std::to_string(nodes_.at(node).port); }
  std::string Brokers(const std::string& network) const { return BrokersOf(network); }
  proxy::FaultProxy& Proxy(const std::string& network, int node = 0) {
    return *nodes_.at(node).proxies.at(network);
  }
  // The end of a node's log.
  std::string Log(int node = 0) const;

 private:
  struct Node {
    int number = 0;
    std::string dir;
    int port = 0, controller_port = 0;
    std::map<std::string, int> network_ports;
    std::map<std::string, std::unique_ptr<proxy::FaultProxy>> proxies;
    std::map<int, std::unique_ptr<proxy::FaultProxy>> controllers;  // the other nodes', as this one sees them
    std::unique_ptr<process::Process> process;
  };

  std::string BrokersOf(const std::string& network) const;
  Result<void> ChoosePorts();
  Result<void> WriteProperties(const Node& node) const;
  Result<void> StartPeers();
  void FaultPeers(int node, bool cut);
  std::string Voters(const Node& node) const;
  process::SpawnOptions Java(const std::vector<std::string>& arguments) const;
  Result<void> Launch(Node& node);
  static Result<void> AwaitStarted(const Node& node);

  const KafkaOptions options_;
  std::string libs_;
  std::vector<Node> nodes_;
};

}  // namespace weir::testing
