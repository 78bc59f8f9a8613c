#pragma once

// The producer's side of the ledger: what is to be sent, what was lost, what has ended. Called by the leader only, but
// safe when two believe they lead: every statement checks the state it changes.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/selector.h"
#include "common/pg/session.h"

namespace weir::ledger {

// A task that is ready to go out, with all its message says.
struct ReadyTask {
  TaskId id;
  JobId job;
  LaneId lane;
  std::string source, stream, account;
  Selector selector;
  bool interactive = false;
  int attempts = 0;
  std::string traceparent;
};

struct DispatchLimits {
  double ahead_ms = 1500;    // work sent ahead for each lane, by its tasks' average time
  int min_ahead = 2;         // one running, one next
  int max_ahead = 256;
  int batch = 2000;          // tasks at a time
};

// The tasks to send now: for each lane as many as its window leaves room for, due (planned, or parked and past
// not_before), interactive first, jobs taken in turns, each in its plan's order.
Result<std::vector<ReadyTask>> TakeReady(pg::Session& session, const DispatchLimits& limits);

// Marks tasks as sent. Those that are no longer planned or parked stay as they are.
Result<std::int64_t> MarkDispatched(pg::Session& session, const std::vector<TaskId>& ids);

// Tasks that were sent or claimed and that nobody has advanced for `idle`, while their lane's lease is free or its
// holder does not run them: put back to planned, so that they are sent again. Returns how many.
Result<std::int64_t> RequeueLost(pg::Session& session, std::chrono::milliseconds idle);

// Ends accounts and jobs whose tasks have all ended; expires jobs past their deadline. Returns the jobs that ended.
Result<std::vector<JobId>> EndJobs(pg::Session& session);

// How long until something becomes due (a parked task, a deadline); capped at `cap`.
Result<std::chrono::milliseconds> NextDue(pg::Session& session, std::chrono::milliseconds cap);

}  // namespace weir::ledger
