// The broker that is killed, stopped or cut off; and three of them, of which one dies, then two.
#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <functional>
#include <thread>

#include "tests/faults/fault_fixture.h"
#include "tests/support/upstream/http_client.h"

namespace weir::faults {
namespace {

class ApacheKafkaBroker : public FaultTest {
 protected:
  explicit ApacheKafkaBroker(int nodes = 1) : FaultTest(nodes) {}
  void Begin(int players) {
    Control("settings", {{"latency_ms", 150}});
    StartProducer();
    StartWorkers(3);
    Strings names;
    for (int i = 1; i <= players; ++i) {
      names.push_back(fmt::format("hikaru{}", i));
      Make({"chesscom", names.back(), 2'000});
    }
    Enqueue("chesscom", names);
    ASSERT_TRUE(AwaitFetched(50)) << members_.front()->process->Err();
  }
  // New pages after now, once there is a broker again.
  void ExpectProgress(const char* after) {
    const auto begin = Steady::now();
    EXPECT_TRUE(Await("count(*) > 0 from weir.tasks where dispatched_at > '" +
                      Text("select clock_timestamp()") + "'"))
        << after << producer_->Err();
    fmt::print("after it was {}: tasks are sent again after {} ms\n", after,
               std::chrono::duration_cast<Millis>(Steady::now() - begin).count());
  }
  void End() {
    Control("settings", {{"latency_ms", 0}});
    ASSERT_TRUE(AwaitEnded());
    ExpectWhole();
    EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
  }
};

TEST_F(ApacheKafkaBroker, KilledStoppedAndCutOff) {
  Begin(8);
  kafka_->Kill();
  std::this_thread::sleep_for(Between(Millis(0), Millis(3'000)));
  auto restarted = kafka_->Restart();
  ASSERT_TRUE(restarted) << restarted.error().message;
  ExpectProgress("killed");

  ASSERT_TRUE(kafka_->Signal(0, SIGSTOP));
  std::this_thread::sleep_for(Millis(6'000));
  ASSERT_TRUE(kafka_->Signal(0, SIGCONT));
  ExpectProgress("stopped");

  proxy::ProxyFaults cut;
  cut.cut = true;
  kafka_->Proxy("NET").Set(cut);
  std::this_thread::sleep_for(Millis(6'000));
  kafka_->Proxy("NET").BlackHoleAll();  // and what was open stays silent for good
  kafka_->Proxy("NET").Heal();
  ExpectProgress("cut off");
  End();
}

// Three nodes, and lanes on all of them.
class ApacheKafkaCluster : public ApacheKafkaBroker {
 protected:
  static constexpr int kLanes = 12;

  ApacheKafkaCluster() : ApacheKafkaBroker(3) {}
  void SetUp() override {
    ApacheKafkaBroker::SetUp();
    env_["WEIR_SOURCES_CHESSCOM_LANES"] = std::to_string(kLanes);
    Control("settings", {{"parallel", {{"chesscom", kLanes}}}});
  }
  void AwaitEveryLane() {
    ASSERT_TRUE(Await(fmt::format("count(distinct lane) = {} from weir.tasks where finished_at > '{}'",
                                  kLanes, Text("select clock_timestamp()"))));
  }
  // A whole pass of the dispatcher begins after now and is over: what had been acknowledged before is marked.
  // `then` sees the ledger while the next pass has not taken anything yet.
  void AfterPasses(int passes, const std::function<void()>& then) {
    database_net_->StopAt({.what = "take_ready", .nth = 1 + passes});
    ASSERT_TRUE(database_net_->WaitForStop(kPatience)) << producer_->Err();
    then();
    database_net_->Thaw();
  }
  // The node that leads most of the partitions in use, but not the one that keeps the group together: without
  // that nobody would know which partitions are theirs.
  int LeaderOfMost() const {
    const auto coordinator = kafka::testing::Coordinator(kafka_->Brokers(), "weir-workers");
    const auto leaders = kafka::testing::LeadersOfHeld(kafka_->Brokers(), TaskTopics().front());
    EXPECT_TRUE(coordinator && leaders);
    if (!coordinator || !leaders) return 0;
    std::array<int, 3> leads{};
    for (const int id : *leaders) ++leads.at(id - 1);
    leads.at(*coordinator - 1) = 0;
    const auto most = std::max_element(leads.begin(), leads.end());
    EXPECT_GT(*most, 0);
    fmt::print("one node leads {} of {} partitions in use\n", *most, leaders->size());
    return static_cast<int>(most - leads.begin());
  }
  // What Kafka has acknowledged, as the ledger knows it: each sending of a task.
  std::int64_t Sent() const { return Number("select sum(dispatches) from weir.tasks"); }
  std::int64_t Metric(const std::string& name) const {
    const std::string said = producer_->Err();
    std::string address = said.substr(said.find("health and metrics on ") + 22);
    address = address.substr(0, address.find_first_not_of("0123456789.:"));
    const auto text = "\n" + sim::Get("http://" + address + "/metrics").value_or("");
    const auto at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::strtoll(text.c_str() + at + name.size() + 2, nullptr, 10);
  }
};

// One of three: work goes on. Two of three: no quorum, nothing can be sent; both come back, and all of it is
// there.
TEST_F(ApacheKafkaCluster, OneNodeOfThreeKilledThenTwo) {
  Begin(30);
  kafka_->Kill(0);
  ExpectProgress("without the first");
  AwaitEveryLane();
  kafka_->Kill(1);
  std::int64_t sent = 0, acknowledged = 0;
  AfterPasses(1, [&] {
    sent = Sent();
    acknowledged = Metric("weir_tasks_sent_total");
  });
  // It tries, and hears of nothing that was taken.
  EXPECT_TRUE(process::WaitUntil([&] { return Metric("weir_producer_waiting") == 1; }, kPatience));
  AfterPasses(2, [&] {
    EXPECT_GT(Number("select count(*) from weir.tasks where state = 'planned'"), kLanes);
    EXPECT_EQ(Sent(), sent);
    EXPECT_EQ(Metric("weir_tasks_sent_total"), acknowledged);
  });
  for (const int node : {0, 1}) {
    const auto back = kafka_->Restart(node);
    ASSERT_TRUE(back) << back.error().message;
  }
  ExpectProgress("without a quorum");
  AwaitEveryLane();
  End();
}

// A node that no client reaches any more, though its peers do: what it leads has to wait, the rest goes on.
TEST_F(ApacheKafkaCluster, OneNodeCutOffFromItsClients) {
  Begin(30);
  AwaitEveryLane();
  const int node = LeaderOfMost();
  proxy::ProxyFaults cut;
  cut.cut = true;
  auto& net = kafka_->Proxy("NET", node);
  net.Set(cut);
  // Lanes have turns: that others end 200 pages since a lane's last one is no chance.
  EXPECT_TRUE(Await(
      "exists (select from (select max(finished_at) as last from weir.tasks group by lane having "
      "count(*) filter (where state = 'planned') > 0) lane where (select count(*) from weir.tasks where "
      "finished_at > lane.last) >= 200)"))
      << producer_->Err();
  EXPECT_EQ(Number("select count(distinct lane) from weir.tasks where state = 'planned'"), kLanes);
  net.Heal();
  AwaitEveryLane();
  End();
}

// A node that its peers do not reach any more, nor it a controller, though its clients do. It still takes
// what it is sent, and must not acknowledge it: two others lead in its place, and what it took is thrown
// away.
TEST_F(ApacheKafkaCluster, LeaderCutOffFromItsPeers) {
  Begin(30);
  AwaitEveryLane();
  const int node = LeaderOfMost();
  kafka_->CutFromPeers(node);
  const int other = node == 0 ? 1 : 0;
  EXPECT_TRUE(process::WaitUntil(
      [&] {
        const auto leaders = kafka::testing::LeadersOfHeld(kafka_->BrokerAt(other), TaskTopics().front());
        return leaders && std::count(leaders->begin(), leaders->end(), node + 1) == 0;
      },
      kPatience))
      << kafka_->Log(other);
  ExpectProgress("without a leader's followers");
  kafka_->HealPeers(node);
  AwaitEveryLane();
  End();
}

}  // namespace
}  // namespace weir::faults
