#pragma once

// The one way for a task to leave `running` other than the batch that finishes it (FenceSql).

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace weir::ledger {

// The SET list of an UPDATE of `weir.tasks t` that puts a task into `state` (an SQL expression). It raises
// the epoch, whether or not the task is running: a batch of the former claim may already be in the server's
// buffer, and must not match the row after a new claim either.
inline std::string LeaveRunning(std::string_view state) {
  return fmt::format("state = {}, owner = null, epoch = t.epoch + 1", state);
}

}  // namespace weir::ledger
