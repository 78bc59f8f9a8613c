#include "worker/lane_keeper.h"

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

std::size_t LaneKeeper::Held() const {
  std::lock_guard lock(mutex_);
  return until_.size();
}

Result<void> LaneKeeper::Renew(pg::Session& session) {
  const milliseconds sent = clock_->Boot();
  auto held = ledger::RenewLanes(session, options_.worker, options_.lease);
  if (!held) return Fail(held.error());
  std::lock_guard lock(mutex_);
  std::map<LaneId, milliseconds> renewed;
  for (LaneId& lane : *held) renewed[std::move(lane)] = sent + options_.lease;
  // A lane that is not in the answer may have been taken after the statement was sent: what is believed of it
  // stands, and runs out by itself if it was lost.
  for (const auto& [lane, until] : until_) {
    if (until > sent) renewed.emplace(lane, until);
  }
  until_ = std::move(renewed);
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
  // A lane whose state cannot be written is kept from others for as long as its lease runs.
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

Result<void> LaneKeeper::Tell(pg::Session& session) {
  ledger::WorkerSigns signs{options_.host, options_.pid};
  signs.memory = ResidentBytes();
  {
    std::lock_guard lock(mutex_);
    signs.member = member_;
    untold_ = false;
  }
  return ledger::Heartbeat(session, options_.worker, signs);
}

void LaneKeeper::Joined(std::string member) {
  std::lock_guard lock(mutex_);
  untold_ = untold_ || member != member_;
  member_ = std::move(member);
}

bool LaneKeeper::Untold() const {
  std::lock_guard lock(mutex_);
  return untold_;
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
