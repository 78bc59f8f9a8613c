#pragma once

#include <chrono>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"
#include "producer/sweeper/sweeper.h"

namespace weir {

// Ends what has ended and finds what was lost (DESIGN §4). One thread; the leader's.
class Coordinator {
 public:
  // `idle`: how long nobody advances what was sent before it counts as lost (ledger::RequeueLost).
  Coordinator(pg::Session& session, const Clock& clock, std::chrono::milliseconds idle,
              Sweeper::LimitsOf sweep_limits)
      : session_(session), clock_(clock), idle_(idle), sweeper_(session, clock, std::move(sweep_limits)) {}

  // 1. Holds what still runs of paused jobs.
  // 2. Starts, expires and ends accounts and jobs; returns the jobs that ended.
  // 3. Sweeps after the accounts that a full job read whole; their jobs end then.
  // 4. Every tenth of `idle` (at least each second): requeues what was lost.
  Result<std::vector<JobId>> RunOnce();
  // What of the last pass went into sweeps: once an account and job, however many notifications come.
  std::chrono::milliseconds SweepTime() const { return sweep_time_; }

 private:
  pg::Session& session_;
  const Clock& clock_;
  std::chrono::milliseconds idle_;
  Sweeper sweeper_;
  std::chrono::milliseconds next_look_{0};
  std::chrono::milliseconds sweep_time_{0};
};

}  // namespace weir
