#include "worker/lane_keeper.h"

#include <set>
#include <utility>

#include "common/obs/memory.h"

namespace weir::worker {

using std::chrono::milliseconds;

Result<ledger::LaneState> LaneKeeper::Ensure(pg::Session& session, const LaneId& lane) {
  const milliseconds now = clock_->Boot();
  {
    std::lock_guard lock(mutex_);
    const auto held = until_.find(lane);
    if (held != until_.end() && held->second > now) return ledger::LaneState{.held = true};
  }
  auto state = ledger::AcquireLane(session, lane, options_.worker, options_.lease, options_.margin);
  if (!state || !state->held) return state;
  std::lock_guard lock(mutex_);
  until_[lane] = now + options_.lease;
  return state;
}

bool LaneKeeper::Valid(const LaneId& lane) const {
  std::lock_guard lock(mutex_);
  const auto held = until_.find(lane);
  return held != until_.end() && held->second > clock_->Boot();
}

std::size_t LaneKeeper::LanesHeld() const {
  std::lock_guard lock(mutex_);
  return until_.size();
}

Result<void> LaneKeeper::Renew(pg::Session& session) {
  std::map<LaneId, milliseconds> asked;
  {
    std::lock_guard lock(mutex_);
    asked = until_;
  }
  std::vector<LaneId> lanes;
  for (const auto& [lane, until] : asked) lanes.push_back(lane);
  const milliseconds sent = clock_->Boot();
  auto held = ledger::RenewLanes(session, options_.worker, lanes, options_.lease);
  if (!held) return Fail(held.error());
  std::lock_guard lock(mutex_);
  const std::set<LaneId> renewed(held->begin(), held->end());
  for (const auto& [lane, until] : asked) {
    const auto believed = until_.find(lane);
    // One that was released or taken since the statement was sent is as that left it.
    if (believed == until_.end() || believed->second != until) continue;
    if (renewed.contains(lane)) {
      believed->second = sent + options_.lease;
    } else {
      until_.erase(believed);
    }
  }
  return {};
}

Result<void> LaneKeeper::SaveAll(pg::Session& session, const std::vector<LaneId>& lanes) const {
  if (!save_) return {};
  for (const LaneId& lane : lanes) {
    if (auto ok = save_(session, lane); !ok) return ok;
  }
  return {};
}

Result<void> LaneKeeper::ReleaseIdle(pg::Session& session) {
  const std::vector<LaneId> idle = scheduler_->CheckOutIdle(options_.idle);
  if (idle.empty()) return {};
  {
    std::lock_guard lock(mutex_);
    for (const LaneId& lane : idle) until_.erase(lane);
  }
  // A lane whose state cannot be written, or whose release fails, is kept from others for as long as its
  // lease runs: it is not in until_ any more, so that Renew leaves it to expire.
  auto released = SaveAll(session, idle);
  if (released) released = ledger::ReleaseLanes(session, options_.worker, idle);
  scheduler_->CheckIn(idle);
  return released;
}

Result<void> LaneKeeper::RunOnce(pg::Session& session) {
  if (auto ok = Renew(session); !ok) return ok;
  if (auto ok = Tell(session); !ok) return ok;
  return ReleaseIdle(session);
}

// The lower bound of the database's clock at this moment, with what the executors hold now.
std::optional<ledger::WorkerSigns::Holding> LaneKeeper::Held() const {
  if (!holding_ || !database_time_) return std::nullopt;
  const auto& [told_ms, heard] = *database_time_;
  const std::int64_t now_ms = told_ms + (clock_->Boot() - heard).count();
  return ledger::WorkerSigns::Holding{holding_(), now_ms};
}

Result<void> LaneKeeper::Tell(pg::Session& session) {
  ledger::WorkerSigns signs{options_.host, options_.pid};
  signs.memory = ResidentBytes();
  signs.holding = Held();
  auto told = ledger::Heartbeat(session, options_.worker, signs);
  if (!told) return Fail(told.error());
  database_time_.emplace(*told, clock_->Boot());
  return {};
}

Result<void> LaneKeeper::ReleaseAll(pg::Session& session) {
  std::vector<LaneId> held;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [lane, until] : until_) held.push_back(lane);
    until_.clear();
  }
  if (auto ok = SaveAll(session, held); !ok) return ok;
  return ledger::ReleaseHolder(session, options_.worker);
}

}  // namespace weir::worker
