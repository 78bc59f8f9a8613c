#pragma once

// What ending, pausing and resuming a job have in common: its row locked first, and no wait for a zombie.

#include <string>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

inline constexpr int kMostDeadlocks = 3;
inline constexpr char kJobTransaction[] = "set local synchronous_commit = on; set local lock_timeout = '2s'";

// A job's row, locked until the transaction ends. Whoever ends, pauses or reopens a job locks it first.
struct LockedJob {
  std::string state;     // "" = no such job; what it is about to end as, if it is being closed
  bool open = false;     // queued, running or paused, and not being closed
  bool overdue = false;  // past its deadline
  std::string closing;   // weir.jobs.closing while it is: its tasks are being ended
  std::string source, stream;
};
Result<LockedJob> LockJob(pg::Session& session, const std::string& id);

// Ends the backends that hold a row lock on one of the job's open tasks: zombies stopped inside a COPY
// (DESIGN §4.2).
Result<void> EndBlockers(pg::Session& session, const std::string& id);

// Runs `transaction`, and once more when the server chose it to end a deadlock, or when it saw too old a
// snapshot.
template <typename Transaction>
auto RetryDeadlocks(Transaction transaction) -> decltype(transaction()) {
  auto done = transaction();
  for (int again = 0; again < kMostDeadlocks && !done; ++again) {
    if (done.error().sqlstate != "40P01" && done.error().sqlstate != "40001") break;
    done = transaction();
  }
  return done;
}

// Runs `transaction`, which waits for the row locks of the job's tasks only so long (kJobTransaction): then
// whoever holds one is ended, and it runs once more.
template <typename Transaction>
auto WithoutZombies(pg::Session& session, const std::string& id, Transaction transaction)
    -> decltype(transaction()) {
  auto done = RetryDeadlocks(transaction);
  if (done || done.error().sqlstate != "55P03") return done;
  if (auto freed = EndBlockers(session, id); !freed) return Fail(freed.error());
  return RetryDeadlocks(transaction);
}

// Goes on with ending a job that is being closed.
Result<void> FinishClosing(pg::Session& session, JobId id);

Error NoSuchJob(JobId id);
Error JobHasEnded(JobId id, const std::string& state);

}  // namespace weir::ledger
