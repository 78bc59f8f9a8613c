#include "common/ledger/task_message.h"

#include <algorithm>

#include "proto/task.pb.h"

namespace weir::ledger {
namespace {

void SetRange(wire::Range* range, const Selector& selector) {
  range->set_lo(selector.lo);
  range->set_hi(selector.hi);
}

void SetSelector(wire::Task& message, const Selector& s) {
  switch (s.kind) {
    case SelectorKind::kDiscover:
      message.mutable_discover();
      break;
    case SelectorKind::kPages:
      SetRange(message.mutable_pages(), s);
      break;
    case SelectorKind::kWindow:
      SetRange(message.mutable_window(), s);
      break;
    case SelectorKind::kNewest:
      SetRange(message.mutable_newest(), s);
      break;
    case SelectorKind::kArchive:
      message.mutable_archive()->set_key(s.key);
      break;
    case SelectorKind::kIds:
      message.mutable_ids()->set_count(static_cast<int>(std::count(s.key.begin(), s.key.end(), ',')) + 1);
      break;
    case SelectorKind::kCursor:
      message.mutable_cursor()->set_key(s.key);
      break;
  }
}

}  // namespace

std::string EncodeTask(const ReadyTask& task) {
  wire::Task message;
  message.set_schema_version(kTaskSchemaVersion);
  message.set_job_id(task.job.value);
  message.set_task_id(task.id.value);
  message.mutable_lane()->set_meter(task.lane.meter);
  message.mutable_lane()->set_index(task.lane.index);
  message.set_source(task.source);
  message.set_stream(task.stream);
  message.set_account(task.account);
  SetSelector(message, task.selector);
  message.set_attempt(task.attempts);
  message.set_traceparent(task.traceparent);
  return message.SerializeAsString();
}

Result<TaskMessage> DecodeTask(std::string_view value) {
  wire::Task message;
  if (!message.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return Fail(ErrorClass::kInvalid, "not a weir task: its bytes cannot be read");
  }
  if (message.schema_version() != kTaskSchemaVersion) {
    return Fail(
        ErrorClass::kInvalid,
        "a task of schema version " + std::to_string(message.schema_version()) + ", which is unknown here",
        "run workers at least as new as the producer");
  }
  if (message.task_id() <= 0 || message.job_id() <= 0 || message.lane().meter().empty() ||
      message.lane().index() < 0) {
    return Fail(ErrorClass::kInvalid, "not a weir task: it names no task, job or lane");
  }
  TaskMessage task;
  task.task = TaskId{message.task_id()};
  task.job = JobId{message.job_id()};
  task.lane = LaneId{message.lane().meter(), message.lane().index()};
  task.source = message.source();
  task.stream = message.stream();
  task.account = message.account();
  task.traceparent = message.traceparent();
  return task;
}

}  // namespace weir::ledger
