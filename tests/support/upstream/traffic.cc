#include "tests/support/upstream/traffic.h"

namespace weir::sim {

void Traffic::Began(const std::string& path_class, const std::string& player) {
  {
    const std::lock_guard lock(mutex_);
    ClassStats& c = classes_[path_class];
    ++c.requests;
    if (!player.empty()) ++c.players[player];
  }
  changed_.notify_all();
}

void Traffic::Ended(Exchanged exchange) {
  {
    const std::lock_guard lock(mutex_);
    ClassStats& c = classes_[exchange.path_class];
    c.bytes += exchange.bytes;
    ++c.statuses[exchange.status];
    log_.push_back(std::move(exchange));
    if (log_.size() > 50'000) log_.pop_front();
    ++ended_;
  }
  changed_.notify_all();
}

std::map<std::string, ClassStats> Traffic::Classes() const {
  const std::lock_guard lock(mutex_);
  return classes_;
}

std::deque<Exchanged> Traffic::Log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

void Traffic::Reset() {
  const std::lock_guard lock(mutex_);
  classes_.clear();
  log_.clear();
}

std::int64_t Traffic::Count(const std::string& path_class) const {
  std::int64_t n = 0;
  for (const auto& [name, c] : classes_) {
    if (path_class.empty() || name == path_class) n += c.requests;
  }
  return n;
}

bool Traffic::WaitForRequests(const std::string& path_class, std::int64_t count,
                              std::chrono::milliseconds deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [&] { return Count(path_class) >= count; });
}

std::int64_t Traffic::EndedCount() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool Traffic::WaitForEnded(std::int64_t count, std::chrono::milliseconds deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [&] { return ended_ >= count; });
}

}  // namespace weir::sim
