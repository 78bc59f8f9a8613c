#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/config/account_book.h"
#include "common/config/config.h"
#include "common/http/http_server.h"
#include "common/obs/metrics.h"
#include "common/pg/session.h"
#include "worker/finished_queue.h"
#include "worker/garbage_keeper.h"
#include "worker/held_tasks.h"
#include "worker/lane_keeper.h"
#include "worker/lane_scheduler.h"
#include "worker/limiter.h"
#include "worker/poll_loop.h"
#include "worker/task_runner.h"

namespace weir::worker {

struct WorkerIdentity {
  std::string id;  // unique to this process: WEIR_WORKER_ID, or host and pid, and an incarnation
  std::string host;
  int pid = 0;
  int peers = 1;  // how many workers were started together with this one, itself among them
};

// The worker program, top to bottom: builds its parts, runs until told to stop, drains. Owned and run by
// main's thread.
class WorkerApp {
 public:
  WorkerApp(Config config, WorkerIdentity identity);
  ~WorkerApp();

  // Checks the schema and the address it listens on. Errors: kConfig, kDatabase.
  Result<void> Start(const std::atomic<int>& stop);
  // Until `stop` is set; then drains: running tasks may end within worker.drain_timeout, the rest is given
  // back with no attempt spent. A `stop` above 1 (a second signal) cuts the drain short.
  // Also ends by itself, likewise. Errors: kConfig, when Kafka will not have this worker in its group.
  Result<void> Run(const std::atomic<int>& stop);

 private:
  Result<void> AwaitDatabase(pg::Session& session, const std::atomic<int>& stop) const;
  void StartThreads();
  void KeepLanes();
  Result<void> KeeperRound(pg::Session& session);
  void Execute(TaskRunner* runner);
  void StopThreads();
  void Drain(const std::atomic<int>& stop);
  HttpReply Serve(const HttpServerRequest& request);
  pg::SessionOptions SessionOptionsFor(const std::string& role) const;
  PollLoop::Parts LoopParts();

  Config config_;
  AccountBook accounts_{config_};
  WorkerIdentity identity_;
  SystemClock clock_;
  Metrics metrics_;
  BufferPool buffers_;
  std::atomic<bool> aborting_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> polled_at_{0};  // boot milliseconds of the poll loop's last turn: its watchdog
  std::atomic<bool> ready_{false};
  pg::SessionPool pool_;
  LaneScheduler scheduler_;
  LaneKeeper keeper_;
  ClaimWatch claims_;
  HeldTasks held_;
  Limiter limiter_;
  WriteGate gate_;
  FinishedQueue finished_;
  GarbageKeeper garbage_;
  PollLoop loop_;
  std::vector<std::unique_ptr<TaskRunner>> runners_;
  std::vector<std::thread> threads_;
  std::thread keeper_thread_, garbage_thread_;
  std::mutex keeper_mutex_;
  bool lanes_leave_ = false;  // guarded by keeper_mutex_
  std::condition_variable keeper_wake_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace weir::worker
