#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"
#include "producer/sweeper/sweep_rows.h"
#include "producer/sweeper/sweep_rule.h"

namespace weir {

// A sweep as users see it: `weir sweep plan`, then `weir sweep apply`. Its rows are not kept: applying finds
// them anew, and refuses when they are others.
struct SweepPlan {
  std::int64_t id = 0;  // weir.sweeps.id
  JobId job;            // the full job it rests on
  std::string source, stream, account;
  std::string began_at;  // RFC 3339: rows touched since are spared
  std::string created_at, applied_at;
  std::int64_t live = 0, to_mark = 0, met = 0, marked = 0;
  SweepLimits limits;
  bool within = false;  // the limits would let it be done unasked
  std::vector<SweepSample> sample;
};

struct SweepRequest {
  std::string source, stream;
  std::string account;       // weir.accounts.name
  std::optional<JobId> job;  // absent: the account's last full job
};

// Each is one transaction on the session. Errors: kNotFound (no such job or plan), kConflict (the job read
// not everything, or what it met is forgotten; the plan is stale or was applied), kDatabase.
Result<SweepPlan> PlanSweep(pg::Session& session, const SweepRequest& request, const SweepLimits& limits);
// Whatever the limits say: who asks has seen the plan. `limits` are only shown.
Result<SweepPlan> ApplySweep(pg::Session& session, std::int64_t plan,
                             const std::function<SweepLimits(std::string_view source)>& limits);

// For PlanSweep and the sweeper: keeps a plan in weir.sweeps. Returns its id.
Result<std::int64_t> SaveSweep(pg::Session& session, const SweepBasis& basis, const SweepCount& count,
                               bool automatic);
// Marks its rows, and notes that in weir.sweeps and with the job's account. Under SweepLockKey.
Result<std::int64_t> CarryOutSweep(pg::Session& session, const SweepBasis& basis, std::int64_t sweep);

}  // namespace weir
