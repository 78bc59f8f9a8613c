#include "producer/engine/leader_lock.h"

#include <string>

#include "common/ledger/leader.h"

namespace weir {

Result<bool> LeaderLock::Try() {
  if (held_) return true;
  if (!session_.Connected()) session_.Reset();
  auto rows = session_.Exec("select pg_try_advisory_lock(" + std::to_string(ledger::kLeaderLock) + ")");
  const bool locked = rows && rows->Bool(0, 0);
  // Only the leader listens: nobody takes notifications off a session that only tries. The look at the ledger
  // comes after this, so that it misses nothing.
  if (locked) rows = session_.Exec("listen weir_dispatch");
  if (!rows) {
    session_.Reset();
    return Fail(rows.error());
  }
  held_ = locked;
  return held_;
}

Result<bool> LeaderLock::Wait(std::chrono::milliseconds timeout) {
  auto woken = session_.WaitNotify(timeout);
  if (!woken) Release();
  return woken;
}

void LeaderLock::Release() {
  held_ = false;
  session_.Reset();
}

}  // namespace weir
