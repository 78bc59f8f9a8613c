#include "common/obs/log_limiter.h"

#include <algorithm>

namespace weir {
namespace {

constexpr std::string_view kOthers = "(other messages)";
constexpr std::size_t kLongestKey = 200;

}  // namespace

bool LogLimiter::Admit(std::string_view message, Millis now) {
  const std::lock_guard lock(mutex_);
  std::string_view key = message.substr(0, kLongestKey);
  if (windows_.size() >= limits_.messages && !windows_.contains(key)) key = kOthers;
  auto at = windows_.find(key);
  if (at == windows_.end()) at = windows_.emplace(std::string(key), Window{}).first;
  Window& window = at->second;
  // One that has ended with lines held back is still to be told of.
  if (now >= window.ends && window.held == 0) window = {now + limits_.window, 0, 0};
  next_end_ = std::min(next_end_, window.ends);
  if (window.written < limits_.lines) {
    ++window.written;
    return true;
  }
  ++window.held;
  return false;
}

std::vector<LogLimiter::Repeated> LogLimiter::TakeRepeated(Millis now) {
  std::vector<Repeated> repeated;
  const std::lock_guard lock(mutex_);
  if (now < next_end_) return repeated;
  next_end_ = Millis::max();
  for (auto window = windows_.begin(); window != windows_.end();) {
    if (now < window->second.ends) {
      next_end_ = std::min(next_end_, window->second.ends);
      ++window;
      continue;
    }
    if (window->second.held > 0) repeated.push_back({window->first, window->second.held});
    window = windows_.erase(window);
  }
  return repeated;
}

}  // namespace weir
