#pragma once

// Lane leases and limiter state in weir.lanes (DESIGN §4.5). Times are the database's clock; a worker watches
// its own copy on CLOCK_BOOTTIME, counted from before the statement was sent, so that it never believes in a
// lease longer than the database does.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// What a lane's limiter knows, kept in weir.lanes so that the next owner goes on from there.
struct LaneMemory {
  double delay_ms = 0;         // adaptive delay between two requests
  double task_ms = 0;          // a task's time, moving average
  std::int64_t successes = 0;  // requests that went well and 429s; when written: to be added
  std::int64_t throttles = 0;
  // Windows of quotas that are counted (a day).
  struct Window {
    std::chrono::milliseconds per{0};
    std::chrono::milliseconds age{0};  // since it began, on the database's clock
    std::int64_t sent = 0;             // by this lane; while the lane is held, what it may have sent
    friend bool operator==(const Window&, const Window&) = default;
  };
  std::vector<Window> windows{};
};

struct LaneState {
  bool held = false;                  // this holder has the lease now
  std::int64_t lease_epoch = 0;       // counts the changes of holder
  std::chrono::milliseconds wait{0};  // not held: until it may be had; held: until the lane may send again
  std::string waiting_for{};
  LaneMemory memory{};  // held: as last saved
};

// Takes or renews the lease of one lane for `lease`. Another holder's lease ends `margin` after its
// lease_until.
Result<LaneState> AcquireLane(pg::Session& session, const LaneId& lane, const std::string& holder,
                              std::chrono::milliseconds lease, std::chrono::milliseconds margin);

// Renews these lanes of a holder with one statement; returns those that it still holds. Lanes that it does
// not name, such as one whose release failed, are left to expire.
Result<std::vector<LaneId>> RenewLanes(pg::Session& session, const std::string& holder,
                                       const std::vector<LaneId>& lanes, std::chrono::milliseconds lease);

// Gives lanes back, so that the next owner need not wait for expiry.
Result<void> ReleaseLanes(pg::Session& session, const std::string& holder, const std::vector<LaneId>& lanes);
// All lanes of a holder that is known to be dead (its process was reaped).
Result<void> ReleaseHolder(pg::Session& session, const std::string& holder);

// Writes what a lane waits for (`wait` from now; 0 = nothing) and what its limiter knows. Nothing if the
// holder lost the lane.
Result<void> SaveLane(pg::Session& session, const LaneId& lane, const std::string& holder,
                      std::chrono::milliseconds wait, const std::string& waiting_for,
                      const LaneMemory& memory);

// The lane must not send for `wait` from now; its limiter state stays. Nothing if the holder lost the lane.
Result<void> HoldLane(pg::Session& session, const LaneId& lane, const std::string& holder,
                      std::chrono::milliseconds wait, const std::string& waiting_for);

// The database's clock, Unix milliseconds.
Result<std::int64_t> DatabaseMillis(pg::Session& session);

struct WorkerSigns {
  std::string host;
  int pid = 0;
  std::int64_t memory = 0;  // bytes it holds
  // The tasks that it has claimed and not finished with, and when it looked: Unix milliseconds of the
  // database's clock, or earlier. Nothing = it does not say.
  struct Holding {
    std::vector<std::int64_t> tasks;
    std::int64_t at_ms = 0;
  };
  std::optional<Holding> holding{};
};
// This worker is alive. Returns the database's clock, Unix milliseconds.
Result<std::int64_t> Heartbeat(pg::Session& session, const std::string& worker, const WorkerSigns& signs);
// Takes a worker that ended off the list, if it is there.
Result<void> ForgetWorker(pg::Session& session, const std::string& worker);

}  // namespace weir::ledger
