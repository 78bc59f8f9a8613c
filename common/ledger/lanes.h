#pragma once

// Lane leases and limiter state in weir.lanes (DESIGN §4.5). Times are the database's clock; a worker watches
// its own copy on CLOCK_BOOTTIME, counted from before the statement was sent, so that it never believes in a
// lease longer than the database does.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

struct LaneState {
  bool held = false;  // this holder has the lease now
  std::int64_t lease_epoch = 0;
  std::chrono::milliseconds wait{0};  // not held: until it may be had; held: until the lane may send again
  std::string waiting_for{};
  double delay_ms = 0;
};

// Takes or renews the lease of one lane for `lease`. Another holder's lease ends `margin` after its
// lease_until.
Result<LaneState> AcquireLane(pg::Session& session, const LaneId& lane, const std::string& holder,
                              std::chrono::milliseconds lease, std::chrono::milliseconds margin);

// Renews all lanes of a holder with one statement; returns those that it still holds.
Result<std::vector<LaneId>> RenewLanes(pg::Session& session, const std::string& holder,
                                       std::chrono::milliseconds lease);

// Gives lanes back, so that the next owner need not wait for expiry.
Result<void> ReleaseLanes(pg::Session& session, const std::string& holder, const std::vector<LaneId>& lanes);
// All lanes of a holder that is known to be dead (its process was reaped).
Result<void> ReleaseHolder(pg::Session& session, const std::string& holder);

// Writes what a lane waits for (`wait` from now; 0 = nothing) and its limiter state.
Result<void> SaveLane(pg::Session& session, const LaneId& lane, const std::string& holder,
                      std::chrono::milliseconds wait, const std::string& waiting_for, double delay_ms,
                      double task_ms);

// The lane must not send for `wait` from now; its limiter state stays. Nothing if the holder lost the lane.
Result<void> HoldLane(pg::Session& session, const LaneId& lane, const std::string& holder,
                      std::chrono::milliseconds wait, const std::string& waiting_for);

// This worker is alive.
Result<void> Heartbeat(pg::Session& session, const std::string& worker, const std::string& host, int pid);

}  // namespace weir::ledger
