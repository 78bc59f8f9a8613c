#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/fault_proxy/commit_watch.h"
#include "tests/support/fault_proxy/wire_watch.h"

namespace weir::proxy {

using Steady = std::chrono::steady_clock;
using Millis = std::chrono::milliseconds;

// What a connection suffers; changes take effect on open ones too.
struct ProxyFaults {
  Millis latency{0};                  // before every piece, either way
  std::int64_t bytes_per_second = 0;  // either way; 0 = no limit
  std::size_t slice_bytes = 0;        // pieces of at most so many bytes…
  Millis slice_delay{0};              // …this far apart
  std::int64_t limit_bytes = -1;      // to the client: then the connection is closed; -1 = none
  bool swallow = false;               // bytes are taken and lost, nothing is ever answered
  bool cut = false;                   // a black hole: nothing passes, no FIN, no RST, until healed
};

enum class CommitCut { kOff, kReset, kBlackHole };

// One direction of a connection.
class Flow {
 public:
  Flow(int from, int to) : from_(from), to_(to) {}

  bool WantsRead(const ProxyFaults& faults) const;
  // When the next piece may leave; nullopt if there is none.
  std::optional<Steady::time_point> Due() const;
  // What `from` has; false on its error.
  bool Read(const ProxyFaults& faults, std::vector<char>& buffer, std::string& got);
  void Queue(std::string bytes, const ProxyFaults& faults, Steady::time_point now);
  // Sends what is due; false on an error of `to` or when `limit` is used up.
  bool Write(const ProxyFaults& faults, Steady::time_point now, std::int64_t limit);
  bool Finished() const { return closed_; }
  std::int64_t sent() const { return sent_; }

 private:
  struct Piece {
    std::string bytes;
    Steady::time_point due;
  };
  const int from_, to_;
  std::deque<Piece> queue_;
  std::size_t queued_ = 0;
  std::size_t offset_ = 0;  // of the front piece already sent
  Steady::time_point next_{};
  std::int64_t sent_ = 0;
  bool ended_ = false;   // `from` sent its FIN
  bool closed_ = false;  // and `to` has been told
};

// One client's connection and the one made for it. Owns both sockets; used by the proxy's thread.
class Relay {
 public:
  Relay(int client, int server, Protocol protocol);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Both sockets as they are to be polled; and when to look again regardless.
  void Poll(const ProxyFaults& faults, Steady::time_point now, pollfd* two,
            std::optional<Steady::time_point>& wake) const;
  struct Step {
    bool over = false;
    bool saw_commit = false;  // and stopped before it: see PassCommit, CutHere
    bool stopped = false;     // at the StopPoint: nothing passes until Thaw
  };
  // `point`: the moment to stop at, if there is an order for one.
  Step Run(const ProxyFaults& faults, Steady::time_point now, const pollfd* two, std::vector<char>& buffer,
           StopPoint* point);
  // After `stopped`: what was held goes on its way.
  void Thaw(const ProxyFaults& faults, Steady::time_point now);
  // After saw_commit: passes it on, or swallows it and cuts the connection for good.
  // True: there is another one right behind it.
  bool PassCommit(const ProxyFaults& faults, Steady::time_point now);
  void CutHere(CommitCut how);
  void Reset();  // RST to both sides when it ends

 private:
  bool ReadClient(const ProxyFaults& faults, Steady::time_point now, std::vector<char>& buffer,
                  StopPoint* point, Step& step);
  bool ReadServer(const ProxyFaults& faults, Steady::time_point now, std::vector<char>& buffer, Step& step);

  const int client_, server_;
  const bool postgres_;
  Flow up_, down_;
  CommitWatch watch_;
  WireWatch wire_;
  bool dead_ = false;    // a black hole for good
  bool frozen_ = false;  // a black hole until thawed, holding what came at that moment
  std::string held_up_, held_down_;
};

}  // namespace weir::proxy
