#include "tests/support/upstream/world.h"

#include <chrono>

namespace weir::sim {

Settings World::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

std::int64_t World::NowMs() const {
  const auto now = settings().now_ms;
  if (now) return *now;
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void World::NoteContent(const std::string& player, const LichessContent& content) {
  const std::lock_guard lock(mutex_);
  content_[Fold(player)] = content;
}

LichessContent World::ContentOf(const std::string& player) const {
  const std::lock_guard lock(mutex_);
  const auto it = content_.find(Fold(player));
  return it == content_.end() ? LichessContent{} : it->second;
}

}  // namespace weir::sim
