#pragma once

#include <fmt/core.h>

#include <string>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {

// Short leases and poll intervals, and work for those who are stopped.
class ApacheKafkaStop : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    env_["WEIR_LANES_LEASE"] = "3s";
    // Nothing may lean on the long default.
    env_["WEIR_KAFKA_PROPERTIES_MAX_POLL_INTERVAL_MS"] = "6000";
    Control("settings", {{"latency_ms", 100}});
    StartProducer();
  }
  void Feed(std::int64_t games = 3'000) {
    const int n = ++fed_;
    Make({"chesscom", fmt::format("hikaru{}", n), games});
    Enqueue("chesscom", {fmt::format("hikaru{}", n)});
  }
  std::int64_t Running(const Member& member) const {
    return Number("select count(*) from weir.tasks where state = 'running' and owner = '" + member.id + "'");
  }
  int fed_ = 0;
};

}  // namespace weir::faults
