#include "worker/task_runner.h"

#include <algorithm>
#include <utility>

#include "common/base/json_text.h"
#include "common/base/secret_text.h"
#include "common/ledger/move_account.h"
#include "common/obs/log.h"
#include "worker/return_tasks.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLeasePoll{500};
constexpr milliseconds kSaveEvery{1'000};
constexpr milliseconds kQuotaLead{500};
constexpr char kQuota[] = "quota";

// The trace id of a traceparent, 00-<trace id>-<span id>-<flags>.
std::string_view TraceId(std::string_view traceparent) {
  return traceparent.size() >= 35 && traceparent[2] == '-' ? traceparent.substr(3, 32) : traceparent;
}

// For the ledger, when what was to be said of a task cannot be stored there.
Error Unstorable(const Error& error) {
  Error plain =
      MakeError(error.error_class, "what went wrong cannot be written down; the worker's log has it");
  plain.http_status = error.http_status;
  return plain;
}

PageProcessor::Parts PartsOf(const Shared& shared, Fetcher* fetcher, BatchWriter* writer) {
  return {shared.config, shared.clock, fetcher, writer, shared.pool, shared.metrics};
}

}  // namespace

TaskRunner::TaskRunner(Shared shared)
    : shared_(std::move(shared)),
      fetcher_(FetchOptions{}, *shared_.clock),
      writer_(shared_.pool, WriterOptions{shared_.config->id_set_page, shared_.buffers, shared_.metrics}),
      processor_(PartsOf(shared_, &fetcher_, &writer_)) {}

bool TaskRunner::RunOnce() {
  auto work = shared_.scheduler->Take();
  if (!work) return false;
  const TaskId task = work->delivery.message.task;
  // Before the claim: whoever sees the row running must find the task among those that this worker holds.
  shared_.held->Add(task);
  Next next = Work(*work);
  Settle(std::move(*work), std::move(next));
  shared_.held->Remove(task);
  return true;
}

// Hands the delivery on: back to its lane, to the ledger, or to the poll loop, which stores its offset.
void TaskRunner::Settle(LaneScheduler::Work work, Next next) {
  const TaskId task = work.delivery.message.task;
  if (next.claimed) work.delivery.claimed = *next.claimed;
  if (!next.freed)
    shared_.limiter->SetNotBefore(work.lane, shared_.clock->Boot() + next.lane_wait, next.waiting_for);
  // A lane that is at its next task already waits for nothing of this one's.
  const bool long_wait = !next.freed && next.lane_wait > kLongWait;
  // Ledger and broker take a moment to bring the lane's next task; a slot of the quota does not wait for it.
  if (long_wait && next.waiting_for == kQuota) next.lane_wait -= kQuotaLead;
  if (next.again && !long_wait) {
    if (next.waiting_for == kDatabase) ++work.delivery.returns;
    // Only until its next claim, which says if it is still suspect.
    work.delivery.alone = next.alone;
    work.delivery.requests = std::max(work.delivery.requests, next.requests);
    shared_.scheduler->GiveBack(work.lane, std::move(work.delivery), next.lane_wait);
    return;
  }
  if (!next.freed) SaveAfter(work.lane, next);
  std::vector<Delivery> returned;
  if (long_wait) returned = shared_.scheduler->Drain(work.lane);
  if (next.again) {
    returned.insert(returned.begin(), std::move(work.delivery));
  } else {
    shared_.finished->Push(std::move(work.delivery));
  }
  ReturnTasks(std::move(returned), *shared_.pool, *shared_.scheduler, *shared_.finished);
  shared_.scheduler->Done(work.lane, task, next.freed ? milliseconds(0) : next.lane_wait);
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

// Whoever opened the job may not have had the account's token, and another one may have it since; or the
// quota has fewer requests now than the job has lanes. The requests count against what is known here.
std::optional<TaskRunner::Next> TaskRunner::MoveIfMisplaced(const TaskWork& work) {
  const AccountSettings& settings = work.settings;
  const std::string& meter = work.task.lane.meter;
  const bool other = settings.configured && settings.meter != meter;
  const int lanes = other ? settings.lanes : MeterWords{work.task.lanes, settings.quota}.LanesWithinQuota();
  if (!other && lanes >= work.task.lanes) return std::nullopt;
  auto session = shared_.pool->Acquire();
  if (!session) return DatabaseIll();
  const auto moved = ledger::MoveAccount(**session, work.task, other ? settings.meter : meter, lanes);
  if (!moved) return moved.error().error_class == ErrorClass::kFenced ? Next{} : DatabaseIll();
  if (!*moved) return std::nullopt;
  Log(LogLevel::kInfo, "an account goes to the lanes of its own meter",
      {{"account", Printable(work.task.account, 64)}, {"meter", settings.meter}, {"lanes", lanes}});
  return Next{};
}

Result<TaskRunner::Next> TaskRunner::HaveLane(pg::Session& session, const LaneId& lane, bool& held) {
  auto state = shared_.keeper->Ensure(session, lane);
  if (!state) return Fail(state.error());
  held = state->held;
  if (!held)
    return Next{.lane_wait = std::min(state->wait, kLeasePoll), .again = true, .waiting_for = "lease"};
  // An epoch comes with a statement only; while the lease is believed in, nothing has changed.
  if (state->lease_epoch > 0) shared_.limiter->Start(lane, *state, shared_.clock->Boot());
  if (state->wait <= milliseconds(0)) return Next{};
  held = false;
  return Next{.lane_wait = state->wait, .again = true, .waiting_for = state->waiting_for};
}

ledger::ClaimOptions TaskRunner::ClaimOf(const LaneScheduler::Work& work) const {
  const kafka::TopicPartition& from = work.delivery.from;
  return {.owner = shared_.worker_id,
          .alone = work.delivery.alone,
          .lane = work.lane,
          .letter = {work.delivery.value, from.topic + "/" + std::to_string(from.partition) + "/" +
                                              std::to_string(work.delivery.offset)}};
}

TaskRunner::Next TaskRunner::Work(const LaneScheduler::Work& work) {
  returns_ = work.delivery.returns;
  const ledger::TaskMessage& message = work.delivery.message;
  const LogScope scope({{"job", std::to_string(message.job.value)},
                        {"task", std::to_string(message.task.value)},
                        {"lane", work.lane.Text()},
                        {"trace", TraceId(message.traceparent)}});
  std::optional<ledger::ClaimedTask> task;
  {
    auto session = shared_.pool->Acquire();
    if (!session) return DatabaseIll();
    bool held = false;
    auto lane = HaveLane(**session, work.lane, held);
    if (!lane) {
      LogError(LogLevel::kWarn, "a lane's lease could not be had", lane.error());
      return DatabaseIll();
    }
    if (!held) return *lane;
    SaveBefore(**session, work.lane);
    auto claim = ledger::ClaimTask(**session, work.delivery.message.task, ClaimOf(work));
    if (!claim) {
      LogError(LogLevel::kWarn, "a claim failed", claim.error());
      return DatabaseIll();
    }
    if (claim->kind == ledger::ClaimResult::Kind::kPoison) {
      Log(LogLevel::kError, "a page that crashes its worker is given up",
          {{"page", claim->task ? claim->task->page : 0}});
    }
    if (claim->kind == ledger::ClaimResult::Kind::kSuspect) {
      Log(LogLevel::kWarn, "a page whose worker died again and again gets its last try, alone",
          {{"page", claim->task ? claim->task->page : 0}});
      return {.again = true, .alone = true};
    }
    if (claim->kind != ledger::ClaimResult::Kind::kClaimed) return {};
    task = std::move(claim->task);
  }
  const milliseconds began = shared_.clock->Boot();
  auto opened = Open(*task);
  TaskWork unopened;
  unopened.task = std::move(*task);
  TaskWork& page = opened ? *opened : unopened;
  page.began = began;
  if (opened) {
    if (auto moved = MoveIfMisplaced(page)) {
      if (moved->unwritten) moved->claimed = page.task.epoch;
      return *moved;
    }
  }
  page.sent = page.effort.requests = std::max<std::int64_t>(0, work.delivery.requests - page.task.requests);
  page.metrics =
      &shared_.metrics->For(page.task.source, page.task.stream,
                            work.delivery.interactive ? LaneClass::kInteractive : LaneClass::kBulk);
  Doubt(page);
  const Result<void> done = opened ? Process(page) : Result<void>(Fail(opened.error()));
  return End(page, done, shared_.clock->Boot() - began);
}

TaskRunner::Next TaskRunner::End(TaskWork& work, const Result<void>& done, milliseconds took) {
  work.effort.busy_ms = took.count();
  work.effort.sent = work.task.requests + work.sent;
  const auto wrote = LastWrite();
  const BatchCounts counts = CountRecords(work);
  std::optional<Error> error;
  // The one door to ledger and log: whatever part of an answer an error quotes, no secret goes through it.
  if (!done) error = WithoutSecrets(work.refused ? *work.refused : done.error(), work.settings.secrets);
  CloseTry(work, wrote, error ? &*error : nullptr);
  NoteRefusals(work, counts, error);
  Next next = error ? OnError(work, *error) : OnSuccess(work, took);
  next.freed = work.freed;
  next.claimed = next.unwritten ? work.task.epoch : Epoch{};
  next.requests = next.unwritten ? work.effort.sent : 0;
  Pause pace = Pace(work);
  if (work.answered) pace = {work.answered_until - shared_.clock->Boot(), work.answered->waiting_for};
  if (!work.freed && pace.wait > next.lane_wait) {
    next.lane_wait = pace.wait;
    next.waiting_for = pace.waiting_for;
  }
  if (next.waiting_for != kDatabase) work.metrics->LimiterDelay(next.lane_wait);
  return next;
}

// What quota and upstream say after the requests that were sent since it was last asked.
Pause TaskRunner::Pace(TaskWork& work) {
  if (work.requests == 0) return {};
  const LaneId& lane = work.task.lane;
  const Limiter::Quota quota{work.quota, work.task.lanes};
  const milliseconds now = shared_.clock->Boot();
  const Pause of_quota{shared_.limiter->RecordSent(lane, quota, work.requests, work.began, now), kQuota};
  const Pause told{shared_.limiter->ApplyHeaders(lane, quota, work.rate_limits, now), "ratelimit"};
  work.requests = 0;
  work.began = now;
  return told.wait > of_quota.wait ? told : of_quota;
}

// A request went well: what the lane waits for before its next.
Pause TaskRunner::Answered(TaskWork& work) {
  const milliseconds learnt = shared_.limiter->OnSuccess(work.task.lane, {work.quota, work.task.lanes},
                                                         work.began, shared_.clock->Boot());
  const Pause pace = Pace(work);
  return learnt > pace.wait ? Pause{learnt, "pace"} : pace;
}

// The lane's next page is asked for while this one is mapped and committed: a lane is what may be asked at
// once, not what may be written. One that must wait gains nothing by it.
void TaskRunner::FreeLane(TaskWork& work) {
  const LaneId& lane = work.task.lane;
  work.answered = Answered(work);
  work.answered_until = shared_.clock->Boot() + work.answered->wait;
  if (work.answered->wait > milliseconds(0)) return;
  shared_.limiter->SetNotBefore(lane, shared_.clock->Boot(), "");
  work.freed = shared_.scheduler->Free(lane, work.task.id);
}

// Before a request: a window of the quota may be full, and what is sent may have to be written down first.
std::optional<Pause> TaskRunner::MayBegin(TaskWork& work, bool onward) {
  const LaneId& lane = work.task.lane;
  if (auto pause = MayWrite(work)) return pause;
  work.began = shared_.clock->Boot();
  const Limiter::Turn turn = shared_.limiter->Ask(lane, {work.quota, work.task.lanes}, work.began);
  const bool owed = onward && turn.wait > kLongWait && !turn.used_up;
  if (turn.wait > milliseconds(0) && !owed) return Pause{turn.wait, kQuota};
  if (turn.save && !SaveLane(lane, turn.ahead, kQuota)) return Pause{kLeasePoll, kDatabase};
  return std::nullopt;
}

// Before another request of the same page. What would make the task wait in the ledger, and so begin its page
// again and again, is owed instead: the lane's next request waits for both. Not where there is nothing left.
std::optional<Pause> TaskRunner::MayGoOn(TaskWork& work) {
  const bool nothing_left = std::any_of(work.rate_limits.begin(), work.rate_limits.end(),
                                        [](const RateWindow& window) { return window.remaining == 0; });
  const Pause pace = Pace(work);
  const bool told = pace.waiting_for != kQuota && (nothing_left || pace.wait <= kLongWait);
  if (pace.wait > milliseconds(0) && told) return pace;
  return MayBegin(work, true);
}

Result<TaskWork> TaskRunner::Open(ledger::ClaimedTask task) {
  TaskWork work;
  work.source = FindSource(task.source);
  work.stream = work.source != nullptr ? FindStream(*work.source, task.stream) : nullptr;
  if (work.stream == nullptr) {
    return Fail(ErrorClass::kInvalid, "this worker knows no " + task.source + "/" + task.stream,
                "upgrade the workers to the producer's version, then replay");
  }
  auto settings = shared_.accounts != nullptr ? shared_.accounts->Resolve(*work.source, task.account)
                                              : ResolveAccount(*shared_.config, *work.source, task.account);
  if (!settings) return Fail(settings.error());
  work.settings = std::move(*settings);
  auto quota = ParseQuota(work.settings.quota);
  if (!quota) return Fail(quota.error());
  work.quota = std::move(*quota);
  work.task = std::move(task);
  return work;
}

Result<void> TaskRunner::Process(TaskWork& work) {
  work.pause = MayBegin(work);
  if (work.pause) return Fail(ErrorClass::kStopped, "the lane waits for its limit");
  PageHooks hooks;
  hooks.between = [&]() -> std::optional<Pause> {
    Pause pace = Answered(work);
    if (pace.wait > milliseconds(0)) return pace;
    return MayBegin(work);
  };
  hooks.again = [&]() -> std::optional<Pause> {
    Pause pace = Pace(work);
    if (pace.wait > milliseconds(0)) return pace;
    return MayBegin(work);
  };
  hooks.onward = [&] { return MayGoOn(work); };
  hooks.answered = [&] { FreeLane(work); };
  shared_.claims->Add(work.task.id, work.task.epoch);
  hooks.abort = [this, &work] {
    // A committed batch clears a suspect (FenceSql): others need not wait for the rest of its page.
    if (writer_.HasCommitted()) shared_.scheduler->EndAlone();
    OpenGate(work);
    return AbortReason(work.task);
  };
  auto done = processor_.Run(work, hooks);
  shared_.claims->Remove(work.task.id);
  return done;
}

// What this attempt committed, however it ended.
BatchCounts TaskRunner::CountRecords(const TaskWork& work) {
  const BatchCounts counts = writer_.TakeCommitted();
  work.metrics->Records(RecordOutcome::kInserted, counts.inserted);
  work.metrics->Records(RecordOutcome::kUpdated, counts.updated);
  work.metrics->Records(RecordOutcome::kUnchanged, counts.unchanged);
  work.metrics->Records(RecordOutcome::kRejected, counts.rejected);
  work.metrics->Records(RecordOutcome::kDuplicate, counts.duplicates);
  return counts;
}

TaskRunner::Next TaskRunner::OnSuccess(TaskWork& work, milliseconds took) {
  work.metrics->Task(TaskResult::kDone);
  shared_.limiter->Finished(work.task.lane, took);
  if (work.answered) return {};
  const Pause pause = Answered(work);
  return {.lane_wait = pause.wait, .again = false, .waiting_for = pause.waiting_for};
}

TaskRunner::Next TaskRunner::OnError(TaskWork& work, const Error& error) {
  if (work.pause && !work.refused) return Yield(work);
  Log(LogLevel::kWarn,
      work.refused ? "a page is not asked for: the database does not take it" : "a page failed",
      {{"class", std::string(ToString(error.error_class))},
       {"error", error.message},
       {"page", work.task.page}});
  switch (error.error_class) {
    case ErrorClass::kFenced:
      work.metrics->Task(TaskResult::kDropped);
      return {};
    case ErrorClass::kStopped:
      return Yield(work);
    case ErrorClass::kDatabase:
      return OnDatabaseError(work, error);
    case ErrorClass::kSchema:
      return OnRefusal(work, error);
    case ErrorClass::kConfig:
      // With a SQLSTATE it is the server that refuses a new connection: a password that is being changed, a
      // reloaded pg_hba.conf. The page has nothing to do with it.
      if (!error.sqlstate.empty()) return OnDatabaseError(work, error);
      return Kill(work, error);
    case ErrorClass::kThrottled: {
      work.metrics->Throttled();
      const auto asked = error.retry_after ? error.retry_after
                                           : shared_.limiter->UsedUpFor(work.task.lane, work.rate_limits);
      const auto wait =
          shared_.limiter->Throttled(work.task.lane, {work.quota, work.task.lanes}, asked,
                                     work.settings.retry_after_floor, work.began, shared_.clock->Boot());
      return Park(work, error, wait, false);
    }
    case ErrorClass::kTransient:
    case ErrorClass::kBroker: {
      if (work.task.attempts + 1 >= shared_.config->max_attempts) return Kill(work, error);
      const auto wait = shared_.limiter->Failed(work.task.lane, work.task.attempts + 1, error.retry_after);
      return Park(work, error, wait, true);
    }
    default:
      return Kill(work, error);
  }
}

TaskRunner::Next TaskRunner::Park(TaskWork& work, const Error& error, milliseconds wait, bool count_attempt) {
  // What could not be written down is waited for all the same: the upstream asked for it.
  const auto unwritten = [&] {
    Next ill = DatabaseIll();
    ill.lane_wait = std::max(ill.lane_wait, wait);
    return ill;
  };
  auto session = shared_.pool->Acquire();
  if (!session) return unwritten();
  work.metrics->Retry(error.error_class);
  work.metrics->Task(TaskResult::kParked);
  auto parked = ledger::ParkTask(**session, work.task, wait, count_attempt, error, work.effort);
  if (!parked && parked.error().error_class == ErrorClass::kBadRecord) {
    parked = ledger::ParkTask(**session, work.task, wait, count_attempt, Unstorable(error), work.effort);
  }
  if (Unwritten(parked, "a task could not be parked")) return unwritten();
  const bool database = error.error_class == ErrorClass::kDatabase;
  return {.lane_wait = wait,
          .again = false,
          .waiting_for = database        ? kDatabase
                         : count_attempt ? "backoff"
                                         : "throttled"};
}

TaskRunner::Next TaskRunner::Kill(TaskWork& work, const Error& error) {
  auto session = shared_.pool->Acquire();
  if (!session) return DatabaseIll();
  auto killed = ledger::KillTask(**session, work.task, error, work.last_request, work.last_head, work.effort);
  if (!killed && killed.error().error_class == ErrorClass::kBadRecord)
    killed = ledger::KillTask(**session, work.task, Unstorable(error), "", "", work.effort);
  if (Unwritten(killed, "a task could not be given up")) return DatabaseIll();
  work.metrics->Task(TaskResult::kDead);
  return {};
}

// Nothing was spent. At shutdown the message stays unfinished, so that another worker gets it; with a lost
// lease, or after a pause between two pages, it is tried again here.
TaskRunner::Next TaskRunner::Yield(TaskWork& work) {
  auto session = shared_.pool->Acquire();
  const auto yielded =
      session ? ledger::YieldTask(**session, work.task, work.effort) : Result<void>(Fail(session.error()));
  const Pause pause = work.pause.value_or(Pause{kLeasePoll, "lease"});
  return {.lane_wait = pause.wait,
          .again = true,
          .waiting_for = pause.waiting_for,
          .unwritten = Unwritten(yielded, "a task could not be given back")};
}

bool TaskRunner::SaveLane(const LaneId& lane, milliseconds wait, const std::string& waiting_for) {
  auto session = shared_.pool->Acquire();
  if (!session) return false;
  const auto kept = shared_.limiter->Memory(lane, shared_.clock->Boot(), false);
  return ledger::SaveLane(**session, lane, shared_.worker_id, wait, waiting_for, kept.memory).has_value();
}

// Where tasks free their lane none of them is the one to tell of it at its end. The dispatcher's window goes
// by what is told, so the first task's time is not to wait for the second save.
void TaskRunner::SaveBefore(pg::Session& session, const LaneId& lane) {
  if (shared_.limiter->Of(lane).task_ms <= 0) return;
  if (!shared_.limiter->TimeToSave(lane, shared_.clock->Boot(), kSaveEvery)) return;
  const auto kept = shared_.limiter->Memory(lane, shared_.clock->Boot(), false);
  (void)ledger::SaveLane(session, lane, shared_.worker_id, milliseconds(0), "", kept.memory);
}

// Only an aid to the next owner and to `weir lanes`: a failure here must not hold the task's end.
void TaskRunner::SaveAfter(const LaneId& lane, const Next& next) {
  const bool due = shared_.limiter->TimeToSave(lane, shared_.clock->Boot(), kSaveEvery);
  if (due || next.lane_wait > kLeasePoll) (void)SaveLane(lane, next.lane_wait, next.waiting_for);
}

}  // namespace weir::worker
