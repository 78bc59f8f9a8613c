#pragma once

#include <utility>

#include "common/ledger/dead_letters.h"
#include "common/pg/session.h"
#include "producer/engine/publisher.h"

namespace weir {

// Sends the dead letters that are due, dead tasks and messages that were no task, to dlq.weir.tasks, for
// whoever watches that topic. What is sent and not marked is sent again. One thread; the leader's.
class DeadLetterSender {
 public:
  DeadLetterSender(pg::Session& session, Publisher& publisher, kafka::Topics topics = {})
      : session_(session), publisher_(publisher), topics_(std::move(topics)) {}

  // One pass; returns how many were sent. Errors: kDatabase; kBroker, when nothing could be sent.
  Result<std::int64_t> RunOnce();

 private:
  Result<std::int64_t> SendTasks();
  Result<std::int64_t> SendGarbage();

  pg::Session& session_;
  Publisher& publisher_;
  const kafka::Topics topics_;
};

}  // namespace weir
