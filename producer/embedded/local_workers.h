#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir {

// Whether a worker that died is started again, and when. Pure. A worker that lived a while starts the count
// anew.
class RestartPolicy {
 public:
  using Millis = std::chrono::milliseconds;
  static constexpr Millis kHealthyLife{5'000};
  static constexpr int kMostInARow = 20;

  // How long to wait before the next start; nothing = give up.
  std::optional<Millis> AfterDeath(Millis lived);

 private:
  int deaths_ = 0;  // in a row, each after a short life
};

struct LocalWorkersOptions {
  std::string program;                             // weir-worker's path
  std::vector<std::string> arguments;              // --config …, --set …
  std::map<std::string, std::string> environment;  // WEIR_DATABASE_URL, WEIR_KAFKA_BROKERS, …
  std::string log_dir;                             // their output goes to worker-N.log
  int count = 2;
  pg::SessionOptions database;
  std::chrono::milliseconds drain_timeout{25'000};
};

// Worker processes for the duration of a sync. One that dies is buried at once (its lanes released, its
// running tasks requeued, so that nobody waits for a lease) and started again within reason. They get SIGTERM
// when this process dies. Owns a thread, which is the only one to start them: the kernel ties their life to
// it.
class LocalWorkers {
 public:
  LocalWorkers(LocalWorkersOptions options, const Clock& clock);
  ~LocalWorkers();
  LocalWorkers(const LocalWorkers&) = delete;
  LocalWorkers& operator=(const LocalWorkers&) = delete;

  void Start();
  // SIGTERM, the drain, SIGKILL for who does not end. More than once is fine.
  void Stop();

  std::vector<pid_t> Pids() const;
  int Restarts() const;
  // Why there is no worker any more; nothing while one runs or is about to.
  std::optional<Error> Failed() const;

 private:
  struct Slot {
    int number = 0;
    pid_t pid = 0;  // 0 = not running
    std::string id;
    std::chrono::milliseconds started{0};
    std::chrono::milliseconds start_at{0};
    bool given_up = false;
    int starts = 0;
    RestartPolicy policy;
  };

  void Loop();
  void Tend(Slot& slot);
  void Launch(Slot& slot);
  void OnDeath(Slot& slot, int status);
  // Buries those whose database could not be told yet.
  void Bury();
  std::string LogOf(int number) const;
  void BoundLogs();
  void GiveUp(Slot& slot, const std::string& why);
  void StopAll();
  // `sent`: the signal that asked them to end, so that a death by it is no crash.
  bool AwaitEnd(std::chrono::milliseconds until, int sent);

  const LocalWorkersOptions options_;
  const Clock& clock_;
  // The loop's own.
  pg::Session session_;
  struct Dead {
    std::string id;
    bool crashed = false;  // it was not asked to end: what it read may be why it died
  };
  std::vector<Dead> dead_;  // to bury
  std::chrono::milliseconds bury_at_{0};
  std::chrono::milliseconds bound_logs_at_{0};
  // Shared.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Slot> slots_;      // guarded by mutex_
  int restarts_ = 0;             // guarded by mutex_
  std::optional<Error> failed_;  // guarded by mutex_
  bool stop_ = false;            // guarded by mutex_
  std::thread thread_;
};

}  // namespace weir
