#pragma once

// What ending, pausing and resuming a job have in common: its row locked first, and no wait for a zombie.

#include <string>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

inline constexpr char kJobTransaction[] = "set local synchronous_commit = on; set local lock_timeout = '2s'";

// A job's row, locked until the transaction ends. Whoever ends, pauses or reopens a job locks it first.
struct LockedJob {
  std::string state;     // "" = no such job
  bool open = false;     // queued, running or paused
  bool overdue = false;  // past its deadline
  std::string source, stream;
};
Result<LockedJob> LockJob(pg::Session& session, const std::string& id);

// Ends the backends that hold a row lock on one of the job's open tasks: zombies stopped inside a COPY
// (DESIGN §4.2).
Result<void> EndBlockers(pg::Session& session, const std::string& id);

// Runs `transaction`, which waits for row locks only so long (kJobTransaction): then whoever holds one is
// ended, and it runs once more.
template <typename Transaction>
auto WithoutZombies(pg::Session& session, const std::string& id, Transaction transaction)
    -> decltype(transaction()) {
  auto done = transaction();
  if (done || done.error().sqlstate != "55P03") return done;
  if (auto freed = EndBlockers(session, id); !freed) return Fail(freed.error());
  return transaction();
}

Error NoSuchJob(JobId id);
Error JobHasEnded(JobId id, const std::string& state);

}  // namespace weir::ledger
