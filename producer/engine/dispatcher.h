#pragma once

#include <chrono>
#include <utility>

#include "common/base/clock.h"
#include "common/ledger/dispatch.h"
#include "common/pg/session.h"
#include "producer/engine/publisher.h"

namespace weir {

// Sends what the ledger has ready (DESIGN §3). Kafka is only dispatch: what is sent and not marked is sent
// again, what is marked and lost is requeued by the coordinator. One thread; the leader's.
class Dispatcher {
 public:
  Dispatcher(pg::Session& session, Publisher& publisher, const Clock& clock, ledger::DispatchLimits limits,
             kafka::Topics topics = {})
      : session_(session),
        publisher_(publisher),
        clock_(clock),
        limits_(limits),
        topics_(std::move(topics)) {}

  struct Pass {
    std::int64_t sent = 0;
    bool more = false;                      // the pass was full: there may be more to send at once
    std::chrono::milliseconds in_kafka{0};  // of its time, what it waited for acknowledgements
  };
  // 1. If the broker is another one, or may be, what was sent to the old one is put back.
  // 2. Takes the tasks that are ready, a window for each lane.
  // 3. Sends them and marks those that the broker acknowledged.
  // Errors: kDatabase; kBroker, when nothing could be sent.
  Result<Pass> RunOnce();
  // The broker may be another one than the tasks were sent to: the next pass puts them back. To be called by
  // whoever takes over the lead on a broker that forgets; what is sent twice is claimed once.
  void DistrustBroker() { distrusted_ = true; }

 private:
  pg::Session& session_;
  Publisher& publisher_;
  const Clock& clock_;
  ledger::DispatchLimits limits_;
  const kafka::Topics topics_;
  bool distrusted_ = false;
};

}  // namespace weir
