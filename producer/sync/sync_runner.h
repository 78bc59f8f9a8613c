#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/config/config.h"
#include "common/ledger/jobs.h"
#include "producer/embedded/local_services.h"
#include "producer/embedded/local_workers.h"
#include "producer/engine/engine.h"
#include "producer/sync/group_check.h"
#include "producer/sync/standstill.h"

namespace weir {

struct SyncRequest {
  ledger::JobRequest job;
  std::optional<int> workers;  // as LocalWorkerCount
  bool cancel_on_interrupt = false;
  std::vector<std::string> config_arguments;  // --config: as this program got it, for the workers
  std::vector<std::string> settings;          // --set; not in their command lines, which others can read
  std::string worker_program;                 // "" = weir-worker beside this program, else in PATH
};

struct SyncCallbacks {
  SayProgress say = [](const std::string&) {};  // what happens, a sentence each
  // About twice a second.
  std::function<void(const ledger::JobStatus&, const ledger::WorkersMemory&)> snapshot = [](const auto&,
                                                                                            const auto&) {};
  std::function<int()> stop_signal = [] { return 0; };  // the signal that asks to stop; 0 = none
};

struct SyncOutcome {
  ledger::JobStatus job;  // as it ended, or as it stood when we left
  bool resumed = false;
  int stop_signal = 0;           // we left because of it
  bool deadline_passed = false;  // we left at the request's deadline; the job may have a later one
};

// One `weir sync`, from asking to the end: gets database and broker (LocalServices), opens the job or goes on
// with the unfinished one, starts local workers, dispatches while nobody else leads (Engine), watches until
// the job ends, and takes everything down again. One thread calls Run; the parts have their own.
class SyncRunner {
 public:
  SyncRunner(const Config& config, SyncRequest request, SyncCallbacks callbacks, const Clock& clock);
  ~SyncRunner();

  // Errors: those of the parts before the job is open; kInternal when no worker can run. A job that is open
  // stays so.
  Result<SyncOutcome> Run();

 private:
  Result<void> Open();
  Result<void> StartWorkers();
  void StartEngine();
  Result<SyncOutcome> Watch();
  // One look: the job as it stands, shown. Nothing while the database does not answer.
  std::optional<ledger::JobStatus> Look();
  void SayFull();
  void SayPaused(const ledger::JobStatus& job);
  void SayWhoLeads();
  Result<void> LookAround();
  Result<void> CheckGroup();
  void WaitForNews(std::chrono::milliseconds look_time);
  void Interrupted(SyncOutcome& outcome);
  void TakeDown(SyncOutcome& outcome);
  pg::SessionOptions Database(const std::string& name) const;

  const Config& config_;
  SyncRequest request_;
  SyncCallbacks callbacks_;
  const Clock& clock_;
  std::unique_ptr<LocalServices> services_;
  std::unique_ptr<pg::Session> session_;  // opens and watches
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<LocalWorkers> workers_;
  ledger::OpenedJob opened_;
  std::string last_trouble_;
  Standstill standstill_;
  std::unique_ptr<GroupCheck> group_;
  bool group_said_ = false;
  int restarts_said_ = 0;
  bool paused_said_ = false;
  bool queued_ = false;  // nothing of the job has been begun
  std::chrono::milliseconds queued_since_{0};
  bool leader_said_ = false;
  bool full_said_ = false;
  std::chrono::milliseconds full_look_{0};
};

// How many connections to PostgreSQL a `weir sync` with so many local workers takes.
struct ConnectionNeed {
  int least = 0;  // with fewer nothing moves
  int full = 0;
};
ConnectionNeed ConnectionsOfSync(int workers, int sessions);

// How many local workers a sync starts: as many as asked for, else two on the embedded broker; on configured
// brokers none, since workers of the cluster read there.
int LocalWorkerCount(std::optional<int> asked, bool embedded_broker);
// The worker's arguments and environment for what LocalServices acquired.
LocalWorkersOptions WorkersFor(const Config& config, const LocalServices& services,
                               const std::vector<std::string>& config_arguments, int count);
// How it reaches Kafka, its log lines among this program's.
kafka::ClientOptions KafkaFor(const Config& config, const std::string& brokers);
// The engine for what LocalServices acquired, or for what is configured.
EngineOptions EngineFor(const Config& config, const std::string& database_url, const std::string& brokers);

}  // namespace weir
