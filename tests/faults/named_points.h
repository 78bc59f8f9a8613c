#pragma once

#include <fmt/core.h>
#include <signal.h>

#include <functional>
#include <string>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {

enum class Wire { kDatabase, kKafka };

struct Point {
  const char* name;
  Wire wire;
  StopPoint at;
};

class ApacheKafkaNamedPoints : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    env_["WEIR_LANES_LEASE"] = "3s";
    Control("settings", {{"latency_ms", 20}});
    StartProducer();
  }
  proxy::FaultProxy& Proxy(Wire wire) {
    return wire == Wire::kDatabase ? *victim_net_ : kafka_->Proxy("VICTIM");
  }
  void Feed() {
    const int n = ++fed_;
    Make({"chesscom", fmt::format("hikaru{}", n), 3'000});
    Enqueue("chesscom", {fmt::format("hikaru{}", n)});
  }
  // A new victim is killed at the point; `meanwhile` brings it there.
  void Reach(const Point& point, const std::function<void(Member&)>& meanwhile = {}) {
    SCOPED_TRACE(point.name);
    if (OpenTasks() < 60) Feed();
    Proxy(point.wire).StopAt(point.at);
    Member& victim = StartWorker(true);
    if (meanwhile) meanwhile(victim);
    EXPECT_TRUE(Proxy(point.wire).WaitForStop(Millis(40'000))) << "never reached: " << victim.process->Err();
    Kill(victim);
    Forget(victim);
    Heal();
  }
  // A page whose worker died three times in a row is dead, and rightly: it may be the reason. So that these
  // deaths stay apart, a worker that nobody kills reads what a victim left twice.
  void Heal() {
    const std::string suspects = "count(*) = 0 from weir.tasks where finished_at is null and crashes > 0";
    if (Text("select " + suspects) == "t") return;
    Member& healer = StartWorker();
    ASSERT_TRUE(Await(suspects));
    healer.process->Signal(SIGTERM);
    ASSERT_TRUE(healer.process->Wait(kPatience));
    Forget(healer);
  }
  void Finish() {
    StartWorkers(3);
    ASSERT_TRUE(AwaitEnded());
  }
  Strings Jobs() const {
    pg::Session session(postgres_->Options());
    const auto rows = session.Exec("select id from weir.jobs where state <> 'succeeded' order by id");
    EXPECT_TRUE(rows);
    Strings jobs;
    for (int i = 0; rows && i < rows->Size(); ++i) jobs.emplace_back(rows->Text(i, 0));
    return jobs;
  }
  int fed_ = 0;
};

}  // namespace weir::faults
