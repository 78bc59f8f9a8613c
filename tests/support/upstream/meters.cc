#include "tests/support/upstream/meters.h"

#include <algorithm>

namespace weir::sim {

void Meters::Ticket::Leave() {
  if (!left_) meters_->Leave(key_, id_);
  left_ = true;
}

Meters::Ticket Meters::Enter(const std::string& key, Connection& connection, int limit) {
  const std::lock_guard lock(mutex_);
  Meter& meter = meters_[key];
  std::erase_if(meter.inside, [](const auto& entry) { return entry.second->PeerGone(); });
  const std::uint64_t id = next_id_++;
  meter.inside.emplace(id, &connection);
  const int now = static_cast<int>(meter.inside.size());
  ++meter.stats.requests;
  meter.stats.max = std::max(meter.stats.max, now);
  const bool allowed = limit == 0 || now <= limit;
  if (!allowed) ++meter.stats.violations;
  return {this, key, id, allowed};
}

void Meters::Leave(const std::string& key, std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  meters_[key].inside.erase(id);
}

std::map<std::string, Meters::Stats> Meters::Snapshot() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, Stats> all;
  for (const auto& [key, meter] : meters_) {
    all[key] = meter.stats;
    all[key].now = static_cast<int>(meter.inside.size());
  }
  return all;
}

void Meters::Reset() {
  const std::lock_guard lock(mutex_);
  for (auto& [key, meter] : meters_) {
    meter.stats = Stats{};
    meter.stats.max = static_cast<int>(meter.inside.size());
  }
}

}  // namespace weir::sim
