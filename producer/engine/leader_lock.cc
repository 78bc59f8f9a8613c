#include "producer/engine/leader_lock.h"

namespace weir {
namespace {

// One lock a database; the number only has to be nobody else's ("weir" in ASCII).
constexpr std::string_view kTrySql = "select pg_try_advisory_lock(2003134834)";

}  // namespace

Result<bool> LeaderLock::Try() {
  if (held_) return true;
  if (!session_.Connected()) session_.Reset();
  // Listening comes before the lock, so that nothing is missed between a look at the ledger and the first
  // wait.
  auto rows = session_.Exec("listen weir_dispatch");
  if (rows) rows = session_.Exec(kTrySql);
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
