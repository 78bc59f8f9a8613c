#pragma once

#include <chrono>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir {

// Makes tasks that nobody works on ready again, on the dispatcher's own session just before it looks. One
// thread; the leader's.
class Coordinator {
 public:
  // `idle`: how long nobody advances what was sent before it counts as lost (ledger::RequeueLost).
  Coordinator(pg::Session& session, const Clock& clock, std::chrono::milliseconds idle)
      : session_(session), clock_(clock), idle_(idle) {}

  // 1. Holds what still runs of paused jobs.
  // 2. Every tenth of `idle`, but each one to two seconds: requeues what was lost, what was sent before the
  // database was
  //    restarted, and what is not on its account's lanes.
  Result<void> RunOnce();

 private:
  pg::Session& session_;
  const Clock& clock_;
  std::chrono::milliseconds idle_;
  std::chrono::milliseconds next_look_{0};
};

}  // namespace weir
