#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "tests/support/upstream/http_server.h"

namespace weir::sim {

// Counts requests in flight per meter (an API and a token or "anonymous") and catches those that break the
// limit. Thread-safe.
class Meters {
 public:
  struct Stats {
    int now = 0;  // in flight
    int max = 0;  // ever at once, those refused included
    std::int64_t requests = 0;
    std::int64_t violations = 0;
  };

  // One request's stay. Over with Leave() or at the end of its life.
  class Ticket {
   public:
    Ticket(Meters* meters, std::string key, std::uint64_t id, bool allowed)
        : meters_(meters), key_(std::move(key)), id_(id), allowed_(allowed) {}
    ~Ticket() { Leave(); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    bool allowed() const { return allowed_; }
    void Leave();

   private:
    Meters* meters_;
    std::string key_;
    std::uint64_t id_;
    bool allowed_;
    bool left_ = false;
  };

  // `limit` 0 = none. A request whose client has hung up no longer counts: the client may start the next one
  // before the thread that served the last notices.
  Ticket Enter(const std::string& key, Connection& connection, int limit);
  std::map<std::string, Stats> Snapshot() const;
  void Reset();  // forgets the counts, not the requests in flight

 private:
  struct Meter {
    Stats stats;
    std::map<std::uint64_t, Connection*> inside;
  };
  void Leave(const std::string& key, std::uint64_t id);

  mutable std::mutex mutex_;
  std::map<std::string, Meter> meters_;
  std::uint64_t next_id_ = 1;
};

}  // namespace weir::sim
