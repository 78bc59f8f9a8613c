#pragma once

#include <chrono>
#include <cstdint>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// What is not done yet; for metrics.
struct Backlog {
  std::int64_t open_jobs = 0;
  std::chrono::milliseconds oldest{0};  // since the oldest of them was asked for
};
Result<Backlog> GetBacklog(pg::Session& session);

}  // namespace weir::ledger
