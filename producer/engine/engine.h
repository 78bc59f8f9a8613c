#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/ledger/dispatch.h"
#include "common/pg/session.h"
#include "producer/engine/coordinator.h"
#include "producer/engine/dead_letter_sender.h"
#include "producer/engine/dispatcher.h"
#include "producer/engine/job_ender.h"
#include "producer/engine/leader_lock.h"
#include "producer/engine/leader_service.h"
#include "producer/engine/publisher.h"
#include "producer/engine/retention.h"
#include "producer/sweeper/sweeper.h"

namespace weir {

struct EngineOptions {
  pg::SessionOptions database;
  Publisher::Factory producers;
  kafka::Topics topics = {};
  ledger::DispatchLimits limits;
  Sweeper::LimitsOf sweep_limits = [](std::string_view) { return SweepLimits{}; };
  RetentionLimits retention;
  std::chrono::milliseconds idle{60'000};  // see Coordinator; 15 s on the embedded broker
  bool broker_forgets = false;  // the embedded one: it may have been started anew since the last leader
  std::chrono::milliseconds poll{500};  // the longest it waits without a notification
  std::chrono::milliseconds leader_retry{1'000};
  // A leader that has had no Kafka for `give_up_after` lets others lead, and does not try again for
  // `stand_aside`.
  std::chrono::milliseconds give_up_after{15'000};
  std::chrono::milliseconds stand_aside{10'000};
  std::chrono::milliseconds least_gap{20};  // between two passes: notifications come by the hundred a second
};

// What the leading process does. Dispatch is this class's own loop; ending jobs, sweeps, dead letters and the
// deletion of history are services, each on a thread and a session of its own, so that a slow sweep, one
// job's trouble or a refused letter stops nobody else. Everyone who wants jobs to go on has an engine (`weir
// serve`, `weir sync`); the others wait to take over. A sick database or broker is logged once and waited
// for.
class Engine {
 public:
  // To PostgreSQL, of one that leads: the leader's lock, dispatch, and one for each service.
  static constexpr int kConnections = 6;

  Engine(EngineOptions options, const Clock& clock);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Runs the loop and the services on threads of their own until Stop.
  void Start();
  // Ends the loop, gives leadership back, joins. More than once is fine.
  void Stop();

  // One iteration: 1. lead, or wait to; 2. one pass of each service; 3. dispatch; 4. wait for a notification,
  // the next due time or `poll`. Returns early when stopped. For tests, in place of Start.
  void RunOnce();

  bool Leading() const { return leading_.load(); }
  std::int64_t Sent() const { return sent_.load(); }
  // The last pass that went through, by clock.Boot(); 0 = none yet.
  std::chrono::milliseconds LastPass() const { return std::chrono::milliseconds(last_pass_.load()); }
  // Rows of history that this process deleted, by table.
  RetentionCounts Deleted() const { return retention_.Counts(); }
  // Why dispatch, or the end of jobs, waits. Letters, sweeps and deletions that wait hold up nobody: they
  // have their own.
  std::optional<Error> Trouble() const;
  std::optional<Error> LettersTrouble() const { return letter_service_.Trouble(); }

 private:
  Result<void> AwaitLetters();
  Result<void> EndJobs();
  Result<void> Sweep();
  Result<void> SendLetters();
  Result<void> DeleteHistory();
  bool Lead();
  void Dispatch();
  void StandAside();
  LeaderService::Options ServiceOptions(const std::string& name) const;
  std::array<LeaderService*, 4> Services();
  Result<std::chrono::milliseconds> Pass();  // what of it went into Kafka
  void WaitForWork(std::chrono::milliseconds pass_time);
  void Recover(const Error& error);
  void SetTrouble(std::optional<Error> error);
  // Waits unless stopped.
  void Sleep(std::chrono::milliseconds time);

  const EngineOptions options_;
  const Clock& clock_;
  // The loop's own.
  LeaderLock lock_;
  pg::Session session_;
  Publisher publisher_;
  Coordinator coordinator_;
  Dispatcher dispatcher_;
  Backoff backoff_;
  int failures_ = 0;
  std::optional<std::chrono::milliseconds> without_broker_since_;
  std::chrono::milliseconds aside_until_{0};
  // Each the thread's of its service.
  LeaderService job_service_, sweep_service_, letter_service_, retention_service_;
  JobEnder jobs_;
  Sweeper sweeper_;
  Publisher letter_publisher_;
  DeadLetterSender letters_;
  Retention retention_;
  // The loop's own.
  bool first_pass_ = true;  // of this leadership
  // Any thread.
  std::atomic<bool> leading_{false};
  std::atomic<std::int64_t> sent_{0};
  std::atomic<std::int64_t> last_pass_{0};
  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;             // guarded by mutex_
  std::optional<Error> trouble_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace weir
