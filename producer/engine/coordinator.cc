#include "producer/engine/coordinator.h"

#include <algorithm>

#include "common/ledger/dispatch.h"
#include "common/obs/log.h"

namespace weir {

Result<void> Coordinator::RunOnce() {
  if (auto held = ledger::HoldPaused(session_); !held) return Fail(held.error());
  const auto now = clock_.Boot();
  if (now < next_look_) return {};
  next_look_ = now + std::clamp<std::chrono::milliseconds>(idle_ / 10, std::chrono::seconds(1),
                                                           std::chrono::seconds(2));
  auto restarted = ledger::RequeueFromBeforeRestart(session_);
  if (!restarted) return Fail(restarted.error());
  if (*restarted > 0) {
    Log(LogLevel::kInfo, "the database was restarted: tasks are sent again", {{"tasks", *restarted}});
  }
  auto misplaced = ledger::ReturnMisplaced(session_);
  if (!misplaced) return Fail(misplaced.error());
  auto lost = ledger::RequeueLost(session_, idle_);
  if (!lost) return Fail(lost.error());
  if (*lost > 0) Log(LogLevel::kWarn, "tasks that nobody advanced are sent again", {{"tasks", *lost}});
  return {};
}

}  // namespace weir
