#pragma once

// The dead letters that the leader is still to send. A task's death and that its letter is due are written in
// one statement, so that no crash loses one; it may be sent twice.

#include <cstdint>
#include <string>
#include <vector>

#include "common/ledger/dispatch.h"

namespace weir::ledger {

struct DeadLetter {
  ReadyTask task;
  std::string message;  // the task's Kafka message as it came; as it would have been, if it never did
  std::string topic;    // where it stood; partition and offset are -1 if it never came
  int partition = -1;
  std::int64_t offset = -1;
  int deliveries = 0;  // how often it was sent
  int attempts = 0;
  int http_status = 0;  // 0 = none
  std::string error_class, error;
};

// Of tasks or of garbage.
Result<bool> AnyLetterDue(pg::Session& session);
// The oldest, at most `limit`.
Result<std::vector<DeadLetter>> LettersDue(pg::Session& session, int limit);
// The letters of these deaths were acknowledged. A task that was replayed and died once more while its letter
// was on its way has another epoch: its second letter stays due.
Result<void> MarkLettersSent(pg::Session& session, const std::vector<SentTask>& sent);

}  // namespace weir::ledger
