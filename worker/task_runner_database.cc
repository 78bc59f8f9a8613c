// What a task does when the database does not take what it read: wait, ask the upstream nothing meanwhile,
// say so in the ledger, or end.

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "common/obs/log.h"
#include "worker/table_trial.h"
#include "worker/task_runner.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

// A shorter wait is not worth the way through ledger and Kafka.
constexpr milliseconds kParkFrom{1'000};
constexpr int kContentions = 4;

// Where the task's records go; a plan is rows of the ledger's.
std::string TableOf(const TaskWork& work) {
  if (work.stream == nullptr || work.task.selector.kind == SelectorKind::kDiscover) return "weir.tasks";
  return fmt::format("{}.{}", work.stream->table.schema, work.stream->table.name);
}

// Others were at the same rows: what was read is not in doubt, nor is the table.
bool IsContention(const Error& error) {
  return error.sqlstate.starts_with("40") || error.sqlstate == "55P03";
}

}  // namespace

// Whatever was not written must be tried again by who has the delivery; only a newer epoch ends that.
bool TaskRunner::Unwritten(const Result<void>& written, const char* what) {
  if (written || written.error().error_class == ErrorClass::kFenced) return false;
  LogError(LogLevel::kWarn, what, written.error());
  return true;
}

TaskRunner::Next TaskRunner::DatabaseIll(milliseconds longest) {
  const milliseconds wait = std::min(longest, milliseconds(250 << std::min(returns_, 8)));
  return {.lane_wait = wait, .again = true, .waiting_for = kDatabase, .unwritten = true};
}

void TaskRunner::Doubt(const TaskWork& work) {
  const ledger::ClaimedTask& task = work.task;
  if (task.last_error_class != ToString(ErrorClass::kDatabase)) return;
  Error error = MakeError(ErrorClass::kDatabase, task.last_error);
  shared_.gate->Suspect(TableOf(work), error);
}

// Before a request: what it brings must find its table able to take it.
std::optional<Pause> TaskRunner::MayWrite(TaskWork& work) {
  if (work.trying) return std::nullopt;
  const std::string table = TableOf(work);
  WriteGate::Turn turn = shared_.gate->Ask(table, shared_.clock->Boot());
  if (turn.way == WriteGate::Way::kOpen) return std::nullopt;
  if (turn.way == WriteGate::Way::kTry) {
    work.trying = true;
    const auto tried = TryTable(work);
    if (tried) return std::nullopt;
    turn.why = tried.error();
    turn.wait = RefusedBy(work, turn.why);
  }
  work.refused = std::move(turn.why);
  // Whether waiting cures it is for its own try to say.
  if (turn.way == WriteGate::Way::kWait) {
    work.refused->error_class = ErrorClass::kDatabase;
    work.refused->sqlstate.clear();
  }
  return Pause{turn.wait, kDatabase};
}

Result<void> TaskRunner::TryTable(const TaskWork& work) {
  if (work.task.selector.kind == SelectorKind::kDiscover) return {};  // its claim was a write to its table
  auto session = shared_.pool->Acquire();
  if (!session) return Fail(session.error());
  return worker::TryTable(**session, work.stream->table, shared_.worker_id);
}

milliseconds TaskRunner::RefusedBy(TaskWork& work, const Error& error) {
  work.trying = false;
  return shared_.gate->Failed(TableOf(work), error, shared_.clock->Boot());
}

// The attempt is over; `wrote` = its table took rows. A page that was let through to try, and had nothing
// new, is an answer, too: its table took the trial's row. One that was under way when another failed says
// nothing.
void TaskRunner::CloseTry(TaskWork& work, bool wrote, bool done) {
  const bool plan = work.task.selector.kind == SelectorKind::kDiscover;
  if (wrote || (done && (work.trying || plan))) {
    shared_.gate->Took(TableOf(work));
  } else if (work.trying) {
    shared_.gate->Left(TableOf(work));
  }
  work.trying = false;
}

// The page that was let through to try has shown that its table takes rows: the others need not wait for its
// end.
void TaskRunner::OpenGate(TaskWork& work) {
  if (!work.trying || !writer_.HasStored()) return;
  shared_.gate->Took(TableOf(work));
  work.trying = false;
}

TaskRunner::Next TaskRunner::OnDatabaseError(TaskWork& work, const Error& error) {
  // Where that lasts, it is like any other outage: nothing is asked of the upstream.
  if (!work.pause && IsContention(error) && returns_ < kContentions) return DatabaseIll();
  const bool counts = !pg::IsOutage(error.sqlstate) && error.error_class != ErrorClass::kConfig;
  if (counts && work.task.attempts + 1 >= shared_.config->max_attempts) return Kill(work, error);
  milliseconds wait = work.pause ? work.pause->wait : RefusedBy(work, error);
  if (counts) {
    const int attempts = work.task.attempts + 1;
    wait = std::max(wait, shared_.limiter->Failed(work.task.lane, attempts, std::nullopt));
  }
  if (!counts && wait < kParkFrom) {
    if (work.pause) return Yield(work);
    return {.lane_wait = wait, .again = true, .waiting_for = kDatabase, .unwritten = true};
  }
  // A lane that was freed is not this task's to hold; what it waits for is to be seen all the same.
  if (work.freed) (void)SaveLane(work.task.lane, wait, kDatabase);
  return Park(work, error, wait, counts);
}

// No other page of the account would fare better, and each would be asked for in vain.
TaskRunner::Next TaskRunner::OnRefusal(TaskWork& work, Error error) {
  if (!work.pause) RefusedBy(work, error);
  if (work.stream != nullptr) {
    error.message = fmt::format("what was read for {}.{} cannot be written: {}", work.stream->table.schema,
                                work.stream->table.name, error.message);
  }
  error.hint += fmt::format("{}once that is mended: weir replay {}", error.hint.empty() ? "" : "; ",
                            work.task.job.value);
  return Kill(work, error);
}

}  // namespace weir::worker
