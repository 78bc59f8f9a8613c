#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/result.h"
#include "tests/support/fault_proxy/relay.h"

namespace weir::proxy {

struct ProxyOptions {
  // "host:port" (IPv4 or localhost), or the path of a unix socket.
  std::string target;
  int port = 0;  // to listen on, on 127.0.0.1; 0 = any
  // What is spoken there. kPostgres: CutAfterCommit works; kPostgres and kKafka: StopAt does.
  Protocol protocol = Protocol::kOther;
};

// A TCP proxy on loopback that makes a network fail on order. One thread of its own does all the work; the
// calls are thread-safe and have taken effect when they return.
class FaultProxy {
 public:
  explicit FaultProxy(ProxyOptions options);
  ~FaultProxy();  // = Stop()
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  Result<void> Start();
  void Stop();
  int port() const { return port_; }

  void Set(const ProxyFaults& faults);
  void Heal() { Set(ProxyFaults{}); }
  // RST on all open connections; new ones are welcome.
  void ResetAll();
  // All open connections become black holes for good: no FIN, no RST, and never a byte again. New ones are
  // welcome.
  void BlackHoleAll();
  // While true, connecting fails (ECONNREFUSED). Open connections go on.
  void Refuse(bool refuse);
  // The `nth` COMMIT confirmed from now on is swallowed, and its connection cut: what the client never hears
  // of is committed. Once.
  void CutAfterCommit(CommitCut how, int nth = 1);
  // Waits for that to have happened.
  bool WaitForCommitCut(Millis deadline) const;

  // The next connection to reach this moment is frozen in it: no byte passes, nothing is closed, however
  // long. Once; an earlier order that was not reached yet is forgotten.
  void StopAt(StopPoint point);
  // Waits for that to have happened.
  bool WaitForStop(Millis deadline) const;
  // The frozen connection goes on.
  void Thaw();

  struct Stats {
    std::int64_t accepted = 0;
    std::int64_t open = 0;
    std::int64_t commits = 0;          // seen, the one cut included
    std::int64_t commit_cuts = 0;      // made
    std::int64_t failed_connects = 0;  // the target was not there: the client was reset
  };
  Stats stats() const;

 private:
  struct Orders {
    ProxyFaults faults;
    bool reset_all = false, black_hole_all = false, refuse = false, thaw = false, stop = false;
  };

  void Loop();
  void RunOnce();
  bool Obey();  // false: stop
  Relay::Step Turn(Relay& relay, Steady::time_point now, const pollfd* two);
  void Accept();
  int Connect() const;
  bool Listen();
  bool Commit(Relay& relay, Steady::time_point now);
  void Order(const std::function<void(Orders&)>& change);

  const ProxyOptions options_;
  int port_ = 0;
  int wake_fd_ = -1;
  std::thread thread_;

  // The loop's own.
  int listener_ = -1;
  std::list<Relay> relays_;
  ProxyFaults faults_;
  std::vector<char> buffer_;

  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  Orders orders_;
  std::uint64_t ordered_ = 0, obeyed_ = 0;
  CommitCut commit_cut_ = CommitCut::kOff;
  int commits_to_pass_ = 0;
  std::optional<StopPoint> stop_point_;
  bool stopped_ = false;
  Stats stats_;
};

}  // namespace weir::proxy
