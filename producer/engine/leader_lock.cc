#include "producer/engine/leader_lock.h"

#include <string>

#include "common/ledger/leader.h"

namespace weir {

Result<bool> LeaderLock::Try() {
  if (held_) return true;
  if (!session_.Connected()) session_.Reset();
  // Listening comes before the lock, so that nothing is missed between a look at the ledger and the first
  // wait.
  auto rows = session_.Exec("listen weir_dispatch");
  if (rows) {
    rows = session_.Exec("select pg_try_advisory_lock(" + std::to_string(ledger::kLeaderLock) + ")");
  }
  if (!rows) {
    session_.Reset();
    return Fail(rows.error());
  }
  held_ = rows->Bool(0, 0);
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
