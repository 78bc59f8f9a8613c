#include "worker/task_runner.h"

#include <algorithm>
#include <utility>

#include "common/obs/log.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

// A lane that waits longer parks what was delivered for it, so that no partition stands still (DESIGN §5).
constexpr milliseconds kLongWait{5'000};
constexpr milliseconds kLeasePoll{500};
constexpr milliseconds kSaveEvery{1'000};

PageProcessor::Parts PartsOf(const Shared& shared, Fetcher* fetcher, BatchWriter* writer) {
  return {shared.config, shared.clock, fetcher, writer, shared.pool};
}

}  // namespace

TaskRunner::TaskRunner(Shared shared)
    : shared_(std::move(shared)),
      fetcher_(FetchOptions{}, *shared_.clock),
      writer_(shared_.pool, WriterOptions{shared_.config->id_set_page}),
      processor_(PartsOf(shared_, &fetcher_, &writer_)) {}

bool TaskRunner::RunOnce() {
  auto work = shared_.scheduler->Take();
  if (!work) return false;
  Next next = Work(*work);
  if (next.again) {
    ++work->delivery.returns;
    shared_.scheduler->GiveBack(work->lane, std::move(work->delivery), next.lane_wait);
    return true;
  }
  SaveLane(work->lane, next, next.lane_wait > milliseconds(0));
  if (next.lane_wait > kLongWait) ReturnQueued(work->lane);
  shared_.finished->Push(std::move(work->delivery));
  shared_.scheduler->Done(work->lane, next.lane_wait);
  return true;
}

std::optional<Error> TaskRunner::AbortReason(const ledger::ClaimedTask& task) const {
  if (shared_.aborting->load()) return MakeError(ErrorClass::kStopped, "the worker is stopping");
  if (!shared_.keeper->Valid(task.lane))
    return MakeError(ErrorClass::kStopped, "the lane's lease has run out");
  if (shared_.claims->Lost(task.id))
    return MakeError(ErrorClass::kFenced,
                     "the task was taken back: its job was cancelled or paused, or is late");
  return std::nullopt;
}

TaskRunner::Next TaskRunner::DatabaseIll(int returns) {
  const auto shift = std::min(returns, 4);
  return {.lane_wait = milliseconds(250 << shift), .again = true, .waiting_for = "database"};
}

Result<TaskRunner::Next> TaskRunner::HaveLane(pg::Session& session, const LaneId& lane, bool& held) {
  const bool had = shared_.keeper->Valid(lane);
  auto state = shared_.keeper->Ensure(session, lane);
  if (!state) return Fail(state.error());
  held = state->held;
  if (!held)
    return Next{.lane_wait = std::min(state->wait, kLeasePoll), .again = true, .waiting_for = "lease"};
  if (!had) shared_.limiter->Start(lane, state->delay_ms);
  if (state->wait <= milliseconds(0)) return Next{};
  held = false;
  return Next{.lane_wait = state->wait, .again = true, .waiting_for = state->waiting_for};
}

ledger::ClaimOptions TaskRunner::ClaimOf(const LaneScheduler::Work& work) const {
  const kafka::TopicPartition& from = work.delivery.from;
  return {.owner = shared_.worker_id,
          .lane = work.lane,
          .letter = {work.delivery.value, from.topic + "/" + std::to_string(from.partition) + "/" +
                                              std::to_string(work.delivery.offset)}};
}

TaskRunner::Next TaskRunner::Work(const LaneScheduler::Work& work) {
  const int returns = work.delivery.returns;
  std::optional<ledger::ClaimedTask> task;
  {
    auto session = shared_.pool->Acquire();
    if (!session) return DatabaseIll(returns);
    bool held = false;
    auto lane = HaveLane(**session, work.lane, held);
    if (!lane) return DatabaseIll(returns);
    if (!held) return *lane;
    auto claim = ledger::ClaimTask(**session, work.delivery.message.task, ClaimOf(work));
    if (!claim) {
      Log(LogLevel::kWarn, "a claim failed", {{"error", claim.error().message}});
      return DatabaseIll(returns);
    }
    if (claim->kind == ledger::ClaimResult::Kind::kPoison) {
      Log(LogLevel::kError, "a page that crashes its worker is given up",
          {{"task", std::to_string(work.delivery.message.task.value)}});
    }
    if (claim->kind != ledger::ClaimResult::Kind::kClaimed) return {};
    task = std::move(claim->task);
  }
  LogScope scope({{"job", std::to_string(task->job.value)},
                  {"task", std::to_string(task->id.value)},
                  {"lane", work.lane.Text()},
                  {"trace", task->traceparent}});
  const milliseconds began = shared_.clock->Boot();
  auto opened = Open(*task);
  TaskWork unopened;
  unopened.task = std::move(*task);
  TaskWork& page = opened ? *opened : unopened;
  const Result<void> done = opened ? Process(page) : Result<void>(Fail(opened.error()));
  const milliseconds took = shared_.clock->Boot() - began;
  page.effort.busy_ms = took.count();
  Next next = done ? OnSuccess(page, took) : OnError(page, done.error());
  next.lane_wait = std::max(next.lane_wait, QuotaWait(page, began));
  return next;
}

milliseconds TaskRunner::QuotaWait(const TaskWork& work, milliseconds began) {
  if (work.settings.quota.empty() || work.requests == 0) return milliseconds(0);
  auto quota = ParseQuota(work.settings.quota);
  if (!quota) return milliseconds(0);  // refused when the configuration was read
  return shared_.limiter->Charge(work.task.lane, *quota, work.task.lanes, work.requests, began,
                                 shared_.clock->Boot());
}

Result<TaskWork> TaskRunner::Open(ledger::ClaimedTask task) {
  TaskWork work;
  work.source = FindSource(task.source);
  work.stream = work.source != nullptr ? FindStream(*work.source, task.stream) : nullptr;
  if (work.stream == nullptr) {
    return Fail(ErrorClass::kInvalid, "this worker knows no " + task.source + "/" + task.stream,
                "upgrade the workers to the producer's version, then replay");
  }
  auto settings = ResolveAccount(*shared_.config, *work.source, task.account);
  if (!settings) return Fail(settings.error());
  work.settings = std::move(*settings);
  work.task = std::move(task);
  return work;
}

Result<void> TaskRunner::Process(TaskWork& work) {
  shared_.claims->Add(work.task.id, work.task.epoch);
  auto done = processor_.Run(work, [this, &work] { return AbortReason(work.task); });
  shared_.claims->Remove(work.task.id);
  return done;
}

// A page's numbers, once its task is done with: what it committed, and how it ended.
void TaskRunner::Count(const TaskWork& work, TaskResult result) {
  StreamMetrics& metrics = shared_.metrics->For(work.task.source, work.task.stream);
  metrics.Task(result);
  const BatchCounts& counts = writer_.Committed();
  if (work.task.selector.kind == SelectorKind::kDiscover) return;
  metrics.Records(RecordOutcome::kInserted, counts.inserted);
  metrics.Records(RecordOutcome::kUpdated, counts.updated);
  metrics.Records(RecordOutcome::kUnchanged, counts.unchanged);
  metrics.Records(RecordOutcome::kRejected, counts.rejected);
  metrics.Records(RecordOutcome::kDuplicate, counts.duplicates);
  metrics.ResponseBytes(fetcher_.LastStats().body_bytes);
  if (result == TaskResult::kDone) metrics.Page();
}

TaskRunner::Next TaskRunner::OnSuccess(const TaskWork& work, milliseconds took) {
  Count(work, TaskResult::kDone);
  const auto view = shared_.limiter->Succeeded(work.task.lane, took);
  return {.lane_wait = milliseconds(static_cast<std::int64_t>(view.delay_ms)),
          .again = false,
          .waiting_for = "pace"};
}

TaskRunner::Next TaskRunner::OnError(TaskWork& work, const Error& error) {
  auto& metrics = shared_.metrics->For(work.task.source, work.task.stream);
  Log(LogLevel::kWarn, "a page failed",
      {{"class", std::string(ToString(error.error_class))}, {"error", error.message}});
  switch (error.error_class) {
    case ErrorClass::kFenced:
      Count(work, TaskResult::kDropped);
      return {};
    case ErrorClass::kStopped:
      return Yield(work);
    case ErrorClass::kDatabase:
      return DatabaseIll(0);
    case ErrorClass::kThrottled: {
      metrics.Throttled();
      const auto wait =
          shared_.limiter->Throttled(work.task.lane, error.retry_after, work.settings.retry_after_floor);
      return Park(work, error, wait, false);
    }
    case ErrorClass::kTransient:
    case ErrorClass::kBroker: {
      if (work.task.attempts + 1 >= shared_.config->max_attempts) return Kill(work, error);
      const auto wait = shared_.limiter->Failed(work.task.lane, work.task.attempts + 1);
      return Park(work, error, wait, true);
    }
    default:
      return Kill(work, error);
  }
}

TaskRunner::Next TaskRunner::Park(TaskWork& work, const Error& error, milliseconds wait, bool count_attempt) {
  auto session = shared_.pool->Acquire();
  if (!session) return DatabaseIll(0);
  shared_.metrics->For(work.task.source, work.task.stream).Retry(error.error_class);
  Count(work, TaskResult::kParked);
  auto parked = ledger::ParkTask(**session, work.task, wait, count_attempt, error, work.effort);
  if (!parked && parked.error().error_class == ErrorClass::kDatabase) return DatabaseIll(0);
  return {.lane_wait = wait, .again = false, .waiting_for = count_attempt ? "backoff" : "throttled"};
}

TaskRunner::Next TaskRunner::Kill(TaskWork& work, const Error& error) {
  auto session = shared_.pool->Acquire();
  if (!session) return DatabaseIll(0);
  auto killed = ledger::KillTask(**session, work.task, error, work.last_request, work.last_head, work.effort);
  if (!killed && killed.error().error_class == ErrorClass::kDatabase) return DatabaseIll(0);
  Count(work, TaskResult::kDead);
  return {};
}

// Nothing was spent. At shutdown the message stays unfinished, so that another worker gets it; with a lost
// lease it is tried again here.
TaskRunner::Next TaskRunner::Yield(TaskWork& work) {
  auto session = shared_.pool->Acquire();
  if (session) (void)ledger::YieldTask(**session, work.task, work.effort);
  return {.lane_wait = kLeasePoll, .again = true, .waiting_for = "lease"};
}

void TaskRunner::SaveLane(const LaneId& lane, const Next& next, bool force) {
  const bool long_enough = force && next.lane_wait > kLeasePoll;
  if (!shared_.limiter->TimeToSave(lane, shared_.clock->Boot(), kSaveEvery) && !long_enough) return;
  const auto view = shared_.limiter->Of(lane);
  auto session = shared_.pool->Acquire();
  if (!session) return;
  // Only an aid to the next owner and to `weir lanes`: a failure here must not hold the task's end.
  (void)ledger::SaveLane(**session, lane, shared_.worker_id, next.lane_wait, next.waiting_for, view.delay_ms,
                         view.task_ms);
}

void TaskRunner::ReturnQueued(const LaneId& lane) {
  std::vector<Delivery> queued = shared_.scheduler->Drain(lane);
  if (queued.empty()) return;
  std::vector<TaskId> ids;
  for (const Delivery& delivery : queued) ids.push_back(delivery.message.task);
  auto session = shared_.pool->Acquire();
  const bool returned = session && ledger::ReturnTasks(**session, ids);
  for (Delivery& delivery : queued) {
    if (returned) {
      shared_.finished->Push(std::move(delivery));
    } else {
      shared_.scheduler->Add(std::move(delivery));
    }
  }
}

}  // namespace weir::worker
