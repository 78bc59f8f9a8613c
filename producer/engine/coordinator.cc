#include "producer/engine/coordinator.h"

#include <algorithm>

#include "common/ledger/dispatch.h"
#include "common/obs/log.h"

namespace weir {

Result<std::vector<JobId>> Coordinator::RunOnce() {
  if (auto held = ledger::HoldPaused(session_); !held) return Fail(held.error());
  auto ended = ledger::EndJobs(session_, /*sweeps=*/true);
  if (!ended) return Fail(ended.error());
  const auto before_sweeps = clock_.Boot();
  auto swept = sweeper_.RunOnce();
  if (!swept) return Fail(swept.error());
  sweep_time_ = *swept > 0 ? clock_.Boot() - before_sweeps : std::chrono::milliseconds(0);
  if (*swept > 0) {
    auto more = ledger::EndJobs(session_, /*sweeps=*/true);
    if (!more) return Fail(more.error());
    ended->insert(ended->end(), more->begin(), more->end());
  }
  for (const JobId job : *ended) Log(LogLevel::kInfo, "job ended", {{"job", job.value}});
  const auto now = clock_.Boot();
  if (now < next_look_) return ended;
  next_look_ = now + std::max<std::chrono::milliseconds>(idle_ / 10, std::chrono::seconds(1));
  auto lost = ledger::RequeueLost(session_, idle_);
  if (!lost) return Fail(lost.error());
  if (*lost > 0) Log(LogLevel::kWarn, "tasks that nobody advanced are sent again", {{"tasks", *lost}});
  return ended;
}

}  // namespace weir
