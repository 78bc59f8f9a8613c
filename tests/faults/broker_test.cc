// The broker that is killed, stopped or cut off; and three of them, of which one dies, then two.
#include <fmt/core.h>
#include <signal.h>

#include <thread>

#include "tests/faults/fault_fixture.h"

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

class ApacheKafkaCluster : public ApacheKafkaBroker {
 protected:
  ApacheKafkaCluster() : ApacheKafkaBroker(3) {}
};

// One of three: work goes on. Two of three: no quorum, nothing can be sent; both come back, and all of it is
// there.
TEST_F(ApacheKafkaCluster, OneNodeOfThreeKilledThenTwo) {
  Begin(10);
  kafka_->Kill(0);
  ExpectProgress("without the first");
  kafka_->Kill(1);
  std::this_thread::sleep_for(Millis(5'000));
  for (const int node : {0, 1}) {
    const auto back = kafka_->Restart(node);
    ASSERT_TRUE(back) << back.error().message;
  }
  ExpectProgress("without a quorum");
  End();
}

}  // namespace
}  // namespace weir::faults
