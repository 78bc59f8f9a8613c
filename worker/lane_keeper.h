#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/ledger/lanes.h"
#include "common/pg/session.h"
#include "worker/lane_scheduler.h"

namespace weir::worker {

struct KeeperOptions {
  std::string worker;  // the holder's name in weir.lanes, unique to this process
  std::string host;
  int pid = 0;
  std::chrono::milliseconds lease{5'000};
  std::chrono::milliseconds margin{1'000};  // a successor waits so much longer than the lease
  std::chrono::milliseconds idle{3'000};    // a lane without work for so long is given back
};

// This worker's lane leases (DESIGN §4.5). A request starts, and goes on, only while Valid; one statement a
// second renews all lanes. A lease is believed in from before the statement that got it was sent, on
// CLOCK_BOOTTIME: never longer than the database does. Thread-safe; RunOnce is the keeper thread's.
class LaneKeeper {
 public:
  LaneKeeper(KeeperOptions options, const Clock* clock, LaneScheduler* scheduler)
      : options_(std::move(options)), clock_(clock), scheduler_(scheduler) {}

  // Has the lane's lease, taking it if need be. `held` false: another holder has it, ask again after `wait`.
  Result<ledger::LaneState> Ensure(pg::Session& session, const LaneId& lane);
  bool Valid(const LaneId& lane) const;
  std::size_t LanesHeld() const;

  // Renews, tells that this worker lives, and gives idle lanes back. A failure leaves leases to run out.
  Result<void> RunOnce(pg::Session& session);
  // The last of these alone, between two of its rounds. The keeper thread's.
  Result<void> ReleaseIdle(pg::Session& session);
  // What this worker holds, for WorkerSigns::holding. Set before any thread is started.
  using Holding = std::function<std::vector<std::int64_t>()>;
  void Watch(Holding holding) { holding_ = std::move(holding); }
  // `save` writes down what is known of a lane, before it is given back. Set before any thread is started.
  using Save = std::function<Result<void>(pg::Session&, const LaneId&)>;
  void OnRelease(Save save) { save_ = std::move(save); }
  // Gives everything back (shutdown).
  Result<void> ReleaseAll(pg::Session& session);

 private:
  Result<void> Renew(pg::Session& session);
  Result<void> Tell(pg::Session& session);
  std::optional<ledger::WorkerSigns::Holding> Held() const;
  Result<void> SaveAll(pg::Session& session, const std::vector<LaneId>& lanes) const;

  KeeperOptions options_;
  const Clock* clock_;
  LaneScheduler* scheduler_;
  Save save_;
  Holding holding_;
  // RunOnce's thread alone: the database's clock as last told, and the boot clock when that was heard.
  std::optional<std::pair<std::int64_t, std::chrono::milliseconds>> database_time_;
  mutable std::mutex mutex_;
  std::map<LaneId, std::chrono::milliseconds> until_;  // guarded by mutex_; on the boot clock
};

}  // namespace weir::worker
