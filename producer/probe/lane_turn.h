#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::probe {

struct LaneTurnOptions {
  std::string holder;  // the name in weir.lanes, unique to this process
  std::chrono::milliseconds lease{5'000};
  std::chrono::milliseconds margin{1'000};      // a successor waits so much longer than the lease
  std::chrono::milliseconds patience{120'000};  // no longer wait for a turn than this
};

// Lets the command line's requests to an upstream out one at a time, each under the lease of one of its
// meter's lanes (DESIGN §4.5), like a worker's. Without a database it only keeps the waits that upstreams
// asked of this process. One thread.
class LaneTurn {
 public:
  struct Callbacks {
    std::function<void(const std::string&)> say;  // what is waited for, each once a turn
    // Waits so long; true = the user interrupts.
    std::function<bool(std::chrono::milliseconds)> wait;
    std::function<bool()> stopped;  // the user has interrupted
  };

  // `session` may be null; it is used here alone while a turn lasts.
  LaneTurn(pg::Session* session, LaneTurnOptions options, const Clock& clock, Callbacks callbacks);
  ~LaneTurn();
  LaneTurn(const LaneTurn&) = delete;
  LaneTurn& operator=(const LaneTurn&) = delete;

  // Waits until one of the meter's lanes is ours and may send. Errors: kConflict when others have them all
  // for longer than the patience, kThrottled when the upstream wants a longer wait than that, kDatabase,
  // kStopped.
  Result<void> Begin(const std::string& meter, int lanes);
  // One look: 0 = the turn has begun, else after how long to look again; nothing is held until then.
  Result<std::chrono::milliseconds> TryBegin(const std::string& meter, int lanes);
  // An AbortCheck for what is sent: renews the lease in time. Errors: kStopped by the user, kDatabase without
  // lease.
  std::optional<Error> Check();
  // Gives the lane back. `wait`: the upstream asked for it; nobody sends on the lane before.
  Result<void> End(std::optional<std::chrono::milliseconds> wait);

 private:
  Result<std::chrono::milliseconds> TryLane(const LaneId& lane);
  Error Impatient(const std::string& meter, std::chrono::milliseconds wait) const;

  pg::Session* session_;
  const LaneTurnOptions options_;
  const Clock& clock_;
  const Callbacks callbacks_;
  std::optional<LaneId> lane_;          // whose turn it is
  std::chrono::milliseconds until_{0};  // the lease, on the boot clock
  std::chrono::milliseconds renewed_{0};
  std::chrono::milliseconds pace_{0};                             // between two requests of the lane
  std::map<std::string, std::chrono::milliseconds> quiet_until_;  // meter → boot clock
  std::string waiting_for_;                                       // of the last look
};

}  // namespace weir::probe
