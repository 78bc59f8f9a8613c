#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/clock.h"
#include "common/config/account_book.h"
#include "common/config/account_settings.h"
#include "common/config/config.h"
#include "common/http/fetcher.h"
#include "common/ledger/tasks.h"
#include "common/obs/metrics.h"
#include "common/pg/session.h"
#include "worker/batch_writer.h"
#include "worker/claim_watch.h"
#include "worker/finished_queue.h"
#include "worker/held_tasks.h"
#include "worker/lane_keeper.h"
#include "worker/lane_scheduler.h"
#include "worker/limiter.h"
#include "worker/page_processor.h"
#include "worker/write_gate.h"

namespace weir::worker {

// What all executors share. Every part is thread-safe and outlives them.
struct Shared {
  const Config* config = nullptr;
  const AccountBook* accounts = nullptr;  // none = the configuration is looked through for each task
  const Clock* clock = nullptr;
  std::string worker_id;
  pg::SessionPool* pool = nullptr;
  LaneScheduler* scheduler = nullptr;
  LaneKeeper* keeper = nullptr;
  ClaimWatch* claims = nullptr;
  HeldTasks* held = nullptr;
  Limiter* limiter = nullptr;
  FinishedQueue* finished = nullptr;
  Metrics* metrics = nullptr;
  BufferPool* buffers = nullptr;  // none = each executor its own
  WriteGate* gate = nullptr;
  std::atomic<bool>* aborting = nullptr;  // the drain is over: stop at once, spend no attempt
};

// One executor: takes the next ready lane's task and works on it to its end (DESIGN §3). Owns a curl handle,
// parsers and a batch; one thread each.
class TaskRunner {
 public:
  explicit TaskRunner(Shared shared);

  // One task:
  //   1. take a ready lane (waits; false = stopped)
  //   2. have the lane's lease, or come back when it may be had
  //   3. claim the task: what is no longer claimable is finished with
  //   4. read its pages
  //   5. done | parked | dead | given back, by the error's class (DESIGN §5)
  bool RunOnce();
  // Ends a transfer that waits for bytes, to look at `aborting` and the lease. Any thread.
  void Wake() { fetcher_.Wake(); }

 private:
  struct Next {
    std::chrono::milliseconds lane_wait{0};
    bool again = false;  // the same delivery, after lane_wait
    bool alone = false;  // … and then with nothing beside it
    std::string waiting_for{};
    bool freed = false;              // the lane is at its next task: what it waits for is that one's to say
    bool unwritten = false;          // the ledger does not know yet that the claim has ended
    std::optional<Epoch> claimed{};  // Delivery::claimed, if that is new
    std::int64_t requests = 0;       // Delivery::requests
  };

  void Settle(LaneScheduler::Work work, Next next);
  Next Work(const LaneScheduler::Work& work);
  ledger::ClaimOptions ClaimOf(const LaneScheduler::Work& work) const;
  // Nothing: the task stands where its requests count. Else it has been moved, or the database is ill.
  std::optional<Next> MoveIfMisplaced(const TaskWork& work);
  Result<Next> HaveLane(pg::Session& session, const LaneId& lane, bool& held);
  Result<TaskWork> Open(ledger::ClaimedTask task);
  Result<void> Process(TaskWork& work);
  Next End(TaskWork& work, const Result<void>& done, std::chrono::milliseconds took);
  std::optional<Pause> MayBegin(TaskWork& work, bool onward = false);
  std::optional<Pause> MayGoOn(TaskWork& work);
  Pause Pace(TaskWork& work);
  Pause Answered(TaskWork& work);
  void FreeLane(TaskWork& work);
  Next OnSuccess(TaskWork& work, std::chrono::milliseconds took);
  Next OnError(TaskWork& work, const Error& error);
  Next Park(TaskWork& work, const Error& error, std::chrono::milliseconds wait, bool count_attempt);
  Next Kill(TaskWork& work, const Error& error);
  Next Yield(TaskWork& work);
  // The database (task_runner_database.cc).
  static constexpr char kDatabase[] = "database";
  static constexpr std::chrono::milliseconds kLedgerRetry{4'000};  // nothing is asked of an upstream for it
  Next DatabaseIll(std::chrono::milliseconds longest = kLedgerRetry);
  static bool Unwritten(const Result<void>& written, const char* what);
  void Doubt(const TaskWork& work);
  std::optional<Pause> MayWrite(TaskWork& work);
  Result<void> TryTable(const TaskWork& work);
  std::chrono::milliseconds RefusedBy(TaskWork& work, const Error& error);
  std::optional<std::chrono::milliseconds> LastWrite() const;
  void CloseTry(TaskWork& work, std::optional<std::chrono::milliseconds> wrote, const Error* error);
  void OpenGate(TaskWork& work);
  Next OnDatabaseError(TaskWork& work, const Error& error);
  Next OnRefusal(TaskWork& work, Error error);
  void NoteRefusals(const TaskWork& work, const BatchCounts& counts, std::optional<Error>& error);
  BatchCounts CountRecords(const TaskWork& work);
  bool SaveLane(const LaneId& lane, std::chrono::milliseconds wait, const std::string& waiting_for);
  void SaveBefore(pg::Session& session, const LaneId& lane);
  void SaveAfter(const LaneId& lane, const Next& next);
  std::optional<Error> AbortReason(const ledger::ClaimedTask& task) const;

  Shared shared_;
  Fetcher fetcher_;
  BatchWriter writer_;
  PageProcessor processor_;
  int returns_ = 0;  // Delivery::returns of the task at work
};

}  // namespace weir::worker
