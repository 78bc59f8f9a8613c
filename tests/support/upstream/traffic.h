#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace weir::sim {

// One API request as it was answered.
struct Exchanged {
  std::string method, target, path_class, player, user_agent;
  std::string authorization;  // as sent: tests look for tokens that went astray
  std::string if_none_match;
  int status = 0;           // 0: not answered (stalled, reset before the head)
  std::uint64_t bytes = 0;  // of the body, as sent
};

struct ClassStats {
  std::int64_t requests = 0;
  std::uint64_t bytes = 0;
  std::map<int, std::int64_t> statuses;
  std::map<std::string, std::int64_t> players;
};

// What has been asked so far. Thread-safe.
class Traffic {
 public:
  void Began(const std::string& path_class, const std::string& player);
  void Ended(Exchanged exchange);
  std::map<std::string, ClassStats> Classes() const;
  std::deque<Exchanged> Log() const;  // the last 50,000 that ended
  void Reset();
  // Waits until `path_class` ("" = all) has had `count` requests begun. False at the deadline.
  bool WaitForRequests(const std::string& path_class, std::int64_t count,
                       std::chrono::milliseconds deadline) const;
  // Requests whose end was taken down, Reset or not. That comes after the answer was sent: who has read an
  // answer and asks what was counted waits for it.
  std::int64_t EndedCount() const;
  bool WaitForEnded(std::int64_t count, std::chrono::milliseconds deadline) const;

 private:
  std::int64_t Count(const std::string& path_class) const;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::map<std::string, ClassStats> classes_;
  std::deque<Exchanged> log_;
  std::int64_t ended_ = 0;
};

}  // namespace weir::sim
