#pragma once

#include <chrono>
#include <cstdint>

#include "common/ledger/jobs.h"

namespace weir {

// Whether a job that is watched stands still without anything that explains it: it may be that no worker gets
// its tasks. Told of each look; pure. Times are Clock::Boot.
class Standstill {
 public:
  // So long without a request, and then the cause is looked for.
  static constexpr std::chrono::milliseconds kNothingYet{3'000};

  // `job` as it stands at `now`; one without a state could not be looked at.
  bool Look(const ledger::JobStatus& job, std::chrono::milliseconds now);

 private:
  std::int64_t requests_ = -1;  // at the last look that found more
  std::chrono::milliseconds since_{0};
};

}  // namespace weir
