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

// Where the task's records go; a plan is rows of the ledger's.
std::string TableOf(const TaskWork& work) {
  if (work.stream == nullptr || work.task.selector.kind == SelectorKind::kDiscover) return "weir.tasks";
  return fmt::format("{}.{}", work.stream->table.schema, work.stream->table.name);
}

// With a SQLSTATE a wrong configuration is the server's word, of a new connection.
bool IsOfDatabase(const Error& error) {
  return error.error_class == ErrorClass::kDatabase || error.error_class == ErrorClass::kSchema ||
         (error.error_class == ErrorClass::kConfig && !error.sqlstate.empty());
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

// When the last rows were sent that this attempt's table took.
std::optional<milliseconds> TaskRunner::LastWrite() const {
  const auto ago = writer_.WroteAgo();
  if (!ago) return std::nullopt;
  return shared_.clock->Boot() - *ago;
}

// The attempt is over, with `error` or without; `wrote` = when its table took rows last. A failure closes the
// gate in the same step that ends the try, or another lane would begin one in between. A page that was let
// through to try, and had nothing new, is an answer, too: its table took the trial's row. One that was under
// way when another failed says nothing.
void TaskRunner::CloseTry(TaskWork& work, std::optional<milliseconds> wrote, const Error* error) {
  const std::string table = TableOf(work);
  const bool trying = std::exchange(work.trying, false);
  if (error != nullptr && !work.pause && IsOfDatabase(*error)) {
    work.closed = shared_.gate->Failed(table, *error, shared_.clock->Boot(), wrote);
    return;
  }
  const bool plan = work.task.selector.kind == SelectorKind::kDiscover;
  if (error == nullptr && plan) wrote = shared_.clock->Boot();
  if (wrote) shared_.gate->Took(table, *wrote);
  if (!wrote && error == nullptr && trying) shared_.gate->Passed(table);
  if (trying) shared_.gate->Left(table);
}

// The page that was let through to try has shown that its table takes rows, or that there is nothing new for
// it: the others need not wait for its end.
void TaskRunner::OpenGate(TaskWork& work) {
  if (!work.trying || !writer_.HasStored()) return;
  const std::string table = TableOf(work);
  if (const auto wrote = LastWrite()) {
    shared_.gate->Took(table, *wrote);
  } else {
    shared_.gate->Passed(table);
  }
  shared_.gate->Left(table);
  work.trying = false;
}

TaskRunner::Next TaskRunner::OnDatabaseError(TaskWork& work, const Error& error) {
  const bool counts = !pg::IsOutage(error.sqlstate) && error.error_class != ErrorClass::kConfig;
  if (counts && work.task.attempts + 1 >= shared_.config->max_attempts) return Kill(work, error);
  milliseconds wait = work.pause ? work.pause->wait : work.closed;
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

// A trigger or a constraint that refuses every record of an account's pages would have each of them asked for
// in vain: what is no fault of single records ends the account.
void TaskRunner::NoteRefusals(const TaskWork& work, const BatchCounts& counts, std::optional<Error>& error) {
  const std::string account = fmt::format("{} {}", work.task.job.value, work.task.account);
  if (counts.inserted + counts.updated + counts.unchanged > 0) shared_.gate->StoredOf(account);
  const bool whole = error && error->error_class == ErrorClass::kInvalid && !error->sqlstate.empty();
  if (!whole || !shared_.gate->RefusedWhole(account, error->sqlstate, counts.rejected, work.task.id.value))
    return;
  error->error_class = ErrorClass::kSchema;
  error->message = "page after page is refused whole: " + error->message;
}

// No other page of the account would fare better, and each would be asked for in vain.
TaskRunner::Next TaskRunner::OnRefusal(TaskWork& work, Error error) {
  if (work.stream != nullptr) {
    error.message = fmt::format("what was read for {}.{} cannot be written: {}", work.stream->table.schema,
                                work.stream->table.name, error.message);
  }
  error.hint += fmt::format("{}once that is mended: weir replay {}", error.hint.empty() ? "" : "; ",
                            work.task.job.value);
  return Kill(work, error);
}

}  // namespace weir::worker
