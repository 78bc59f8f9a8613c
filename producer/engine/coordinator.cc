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
  auto lost = ledger::RequeueLost(session_, idle_);
  if (!lost) return Fail(lost.error());
  if (*lost > 0) Log(LogLevel::kWarn, "tasks that nobody advanced are sent again", {{"tasks", *lost}});
  return {};
}

}  // namespace weir
