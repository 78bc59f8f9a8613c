#pragma once

#include <map>
#include <mutex>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::worker {

// The claims that this worker's executors work on, compared with the ledger about once a second: a page whose
// job was cancelled or paused meanwhile stops then, however slowly its records come. It only hastens what the
// fence decides at the next batch (DESIGN §4.2). Thread-safe; RunOnce is one thread's.
class ClaimWatch {
 public:
  void Add(TaskId task, Epoch epoch);
  void Remove(TaskId task);
  // A newer epoch was seen.
  bool Lost(TaskId task) const;

  Result<void> RunOnce(pg::Session& session);

 private:
  struct Claim {
    Epoch epoch;
    bool lost = false;
  };
  mutable std::mutex mutex_;
  std::map<std::int64_t, Claim> claims_;  // by task; guarded by mutex_
};

}  // namespace weir::worker
