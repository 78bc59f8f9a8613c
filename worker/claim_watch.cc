#include "worker/claim_watch.h"

#include <vector>

namespace weir::worker {

void ClaimWatch::Add(TaskId task, Epoch epoch) {
  const std::lock_guard lock(mutex_);
  claims_.insert_or_assign(task.value, Claim{epoch});
}

void ClaimWatch::Remove(TaskId task) {
  const std::lock_guard lock(mutex_);
  claims_.erase(task.value);
}

bool ClaimWatch::Lost(TaskId task) const {
  const std::lock_guard lock(mutex_);
  const auto claim = claims_.find(task.value);
  return claim != claims_.end() && claim->second.lost;
}

Result<void> ClaimWatch::RunOnce(pg::Session& session) {
  std::vector<std::int64_t> ids;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, claim] : claims_) ids.push_back(id);
  }
  if (ids.empty()) return {};
  auto rows = session.Exec("select id, epoch from weir.tasks where id = any($1::int8[])",
                           {pg::ArrayLiteral(ids)}, "claim_watch");
  if (!rows) return Fail(rows.error());
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < rows->Size(); ++i) {
    const auto claim = claims_.find(rows->Int(i, 0));
    if (claim != claims_.end() && claim->second.epoch.value < rows->Int(i, 1)) claim->second.lost = true;
  }
  return {};
}

}  // namespace weir::worker
