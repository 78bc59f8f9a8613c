#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/kafka/producer.h"
#include "tests/e2e/e2e.h"
#include "tests/e2e/own_kafka.h"
#include "tests/support/fault_proxy/fault_proxy.h"

namespace weir::e2e {

// A slow database makes lag, not memory: one worker with all partitions, Kafka full of tasks, the database
// stopped; then it comes back and everything is read, once.
class Backpressure : public OnDatabase {
 protected:
  void SetUp() override;
  void TearDown() override;
  void ExpectLagNotMemory(std::int64_t tasks);

 private:
  void StartIt();
  // Tasks that no ledger knows: what is asked here is how they are held. Their bytes: keys, values and
  // headers.
  std::int64_t Produce(std::int64_t tasks) const;
  // As they lie in Kafka, with its framing: what must be received at least.
  std::int64_t BytesInLog() const;
  double Metric(const std::string& name) const;
  std::int64_t StatusKib(const std::string& field) const;

  std::unique_ptr<OwnKafka> kafka_;
  std::unique_ptr<proxy::FaultProxy> network_;
  std::unique_ptr<Process> worker_;
  kafka::ClientOptions client_;
  std::string metrics_;
};

}  // namespace weir::e2e
