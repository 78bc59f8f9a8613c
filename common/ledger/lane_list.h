#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// A lane as it stands, for `weir lanes`.
struct LaneStatus {
  LaneId lane;
  std::string owner, host;  // the worker that holds its lease; "" = nobody
  int pid = 0;              // of that worker; 0 = unknown
  double delay_ms = 0;      // between two requests, as the lane has learnt it
  double task_ms = 0;       // a task's time, moving average; 0 = unknown
  std::int64_t successes = 0, throttles = 0;
  std::string account;                              // whose task it runs now; "" = none
  std::int64_t running = 0, sent = 0, waiting = 0;  // tasks: claimed, in Kafka, planned or parked
  std::string waiting_for;  // "throttled", "backoff", "database", "quota", …; "" = it does not wait
  std::string until;        // RFC 3339
  std::int64_t waiting_ms = 0;
  std::string waiting_reason{};  // of "database": what it said last; "" = not known
};

// The lanes of all meters that were ever used, by meter and number; with `account`, those of the meters its
// jobs were counted against. An account's name is compared without case. Errors: kNotFound when no job has
// it.
Result<std::vector<LaneStatus>> ListLanes(pg::Session& session, const std::string& account);

// What keeps lanes from writing, for `weir doctor`.
struct DatabaseWaits {
  std::int64_t lanes = 0;  // that wait for the database now
  std::string reason;      // what it said last to one of them; "" = not known, or none waits
};
Result<DatabaseWaits> ListDatabaseWaits(pg::Session& session);

}  // namespace weir::ledger
