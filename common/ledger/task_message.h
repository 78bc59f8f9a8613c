#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/ledger/dispatch.h"

namespace weir::ledger {

inline constexpr std::uint32_t kTaskSchemaVersion = 1;

// A Kafka message's value (proto/task.proto).
std::string EncodeTask(const ReadyTask& task);

// What a worker needs of a message before it asks the ledger.
struct TaskMessage {
  TaskId task;
  JobId job;
  LaneId lane;
  std::string source, stream, account, traceparent;
};

// Errors: kInvalid (garbage, an unknown version): the message is kept in weir.garbage and dead-lettered,
// never guessed.
Result<TaskMessage> DecodeTask(std::string_view value);

}  // namespace weir::ledger
