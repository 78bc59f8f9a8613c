#pragma once

#include <chrono>

#include "common/ledger/dispatch.h"
#include "common/pg/session.h"
#include "producer/engine/publisher.h"

namespace weir {

// Sends what the ledger has ready (DESIGN §3). Kafka is only dispatch: what is sent and not marked is sent
// again, what is marked and lost is requeued by the coordinator. One thread; the leader's.
class Dispatcher {
 public:
  Dispatcher(pg::Session& session, Publisher& publisher, ledger::DispatchLimits limits)
      : session_(session), publisher_(publisher), limits_(limits) {}

  struct Pass {
    std::int64_t sent = 0;
    bool more = false;  // the pass was full: there may be more to send at once
  };
  // 1. If the broker is another one, what was sent to the old one is put back.
  // 2. Takes the tasks that are ready, a window for each lane.
  // 3. Sends them and marks those that the broker acknowledged.
  // Errors: kDatabase; kBroker, when nothing could be sent.
  Result<Pass> RunOnce();

 private:
  pg::Session& session_;
  Publisher& publisher_;
  ledger::DispatchLimits limits_;
};

}  // namespace weir
