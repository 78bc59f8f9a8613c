#pragma once

// The producer's side of the ledger: what is to be sent, what was lost, what has ended. Called by the leader
// only, but safe when two believe they lead: every statement checks the state it changes.

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
  Epoch epoch;  // when it was taken
  JobId job;
  LaneId lane;
  std::string source, stream, account;
  Selector selector;
  bool interactive = false;
  int attempts = 0;
  std::string traceparent;
};

struct DispatchLimits {
  double ahead_ms = 1500;  // work sent ahead for each lane, by its tasks' average time
  int min_ahead = 2;       // one running, one next
  int max_ahead = 256;
  int batch = 2000;  // tasks at a time
};

// The tasks to send now: for each lane as many as its window leaves room for, due (planned, or parked and
// past not_before), interactive first, jobs taken in turns, each in its plan's order.
Result<std::vector<ReadyTask>> TakeReady(pg::Session& session, const DispatchLimits& limits);

// Marks tasks as sent, as they were taken. Those that a worker has claimed since stay as they are.
struct SentTask {
  TaskId id;
  Epoch epoch;
};
Result<std::int64_t> MarkDispatched(pg::Session& session, const std::vector<SentTask>& sent);

// Puts back to planned what was sent or claimed and what nobody advances, so that it is sent again. Messages
// get lost (Kafka may be wiped) and workers die; a duplicate message is harmless, since the claim decides.
// Returns how many.
//   running, its owner holds the lane's lease: left alone, however long a batch takes (a paced stream, a
//   stalled upstream),
//     short of max(30 idle, 30 min) without a batch: then its worker has forgotten it.
//   running, its owner lives and says that it does not hold the task (WorkerSigns::holding): at once, and no
//   crash.
//     The owner has finished with it, but the database lost that in a crash: batches commit asynchronously.
//   running, its owner does not hold the lease: after `idle` without a batch. Counts as a crash, like the
//   claim of a
//     running task does.
//   dispatched: after `idle` since it was sent, doubled with each sending up to 16 idle (a message may wait
//   long in Kafka
//     by right, behind busy executors), while some worker is alive and nothing runs on its lane. Where the
//     lane is held, its holder must also have written nothing to it for `idle`: one that works through
//     messages is still on its way.
Result<std::int64_t> RequeueLost(pg::Session& session, std::chrono::milliseconds idle);
inline constexpr std::chrono::minutes kStuckTask{30};

// The tasks that a worker known to be dead was running: planned again at once. `crashed`: it ended by itself
// (a fault, an exit), which counts as a crash of each; not when someone killed it, which tells nothing about
// the page.
Result<std::int64_t> RequeueOwner(pg::Session& session, const std::string& owner, bool crashed);

// All that was sent and not claimed, when the broker is known to have lost its contents.
Result<std::int64_t> RequeueSent(pg::Session& session);
// What was sent before the server was started, and not claimed: a crash may have taken back a claim whose
// message is gone. A duplicate message is harmless.
Result<std::int64_t> RequeueFromBeforeRestart(pg::Session& session);
// Tasks on other lanes than their account's: it was moved (move_account.h) while one of its tasks ran, which
// then added a successor where it was itself. Up to 10,000 a call.
Result<std::int64_t> ReturnMisplaced(pg::Session& session);

// What of paused jobs is still sent or running because it was claimed or marked in the moment they were
// paused: planned again and fenced. Returns how many tasks.
Result<std::int64_t> HoldPaused(pg::Session& session);

// Ends accounts and jobs whose tasks have all ended; expires jobs past their deadline. Returns the jobs that
// ended. `sweeps`: an account that a full job read whole gets a sweep that is due, if its stream can be
// swept, and its job ends only when that is decided (producer/sweeper).
// A job that cannot be ended is left for the next call and does not stop the others: it is put into `failed`;
// without one the first such error is returned, after all were tried.
struct FailedJob {
  JobId job;
  Error error;
};
Result<std::vector<JobId>> EndJobs(pg::Session& session, bool sweeps = false,
                                   std::vector<FailedJob>* failed = nullptr);

// How long until something becomes due (a parked task, a waiting lane, a deadline); capped at `cap`. What is
// due already and was not taken waits for something else than time.
Result<std::chrono::milliseconds> NextDue(pg::Session& session, std::chrono::milliseconds cap);

}  // namespace weir::ledger
