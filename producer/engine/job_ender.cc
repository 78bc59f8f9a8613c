#include "producer/engine/job_ender.h"

#include <utility>
#include <vector>

#include "common/ledger/dispatch.h"
#include "common/obs/log.h"

namespace weir {

Result<int> JobEnder::RunOnce() {
  std::vector<ledger::FailedJob> failed;
  auto ended = ledger::EndJobs(session_, /*sweeps=*/true, &failed);
  if (!ended) return Fail(ended.error());
  for (const JobId job : *ended) Log(LogLevel::kInfo, "job ended", {{"job", job.value}});
  std::map<std::int64_t, std::string> troubles;
  for (const ledger::FailedJob& one : failed) {
    const auto known = troubles_.find(one.job.value);
    if (known == troubles_.end() || known->second != one.error.message)
      Log(LogLevel::kWarn, "a job could not be ended yet",
          {{"job", one.job.value}, {"error", one.error.message}});
    troubles.emplace(one.job.value, one.error.message);
  }
  troubles_ = std::move(troubles);
  return static_cast<int>(ended->size());
}

}  // namespace weir
