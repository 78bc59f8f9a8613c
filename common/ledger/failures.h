#pragma once

// What was given up: dead tasks, listed, grouped, and tried again. Every call is one transaction on the
// session it is given; any thread that owns the session may call.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

struct Failure {
  TaskId task;
  JobId job;
  std::string source, stream, account;
  std::string page;  // Describe(selector)
  std::string error_class, message, hint;
  int http_status = 0;
  int attempts = 0;
  int replays = 0;  // how often it was put back before
  std::string finished_at;
  std::string request, head, body;  // for `failures show`
};

// Which dead tasks; empty fields hold for all. A job or task that is named must exist (kNotFound).
struct FailureFilter {
  std::optional<JobId> job{};
  std::optional<TaskId> task{};
  std::string error_class{}, source{}, account{};
  std::optional<std::int64_t> since_ms{}, until_ms{};  // given up in [since, until), Unix milliseconds
  int limit = 1000;                                    // of ListFailures
};
// Newest jobs first.
Result<std::vector<Failure>> ListFailures(pg::Session& session, const FailureFilter& filter);

// The dead tasks of one class.
struct FailureGroup {
  std::string error_class;
  std::int64_t tasks = 0, jobs = 0, accounts = 0;
  std::string first_at, last_at;  // when given up, RFC 3339
  std::string message, hint;      // those of the last
  TaskId last;
};
// The largest first.
Result<std::vector<FailureGroup>> GroupFailures(pg::Session& session, const FailureFilter& filter);

struct ReplayOptions {
  bool dry_run = false;  // only count
  int max_replays = 5;   // loop guard: what was put back so often and died again is left dead
  bool force = false;    // no loop guard
};
// Of one class.
struct ReplayCount {
  std::string error_class;
  std::int64_t tasks = 0;       // put back
  std::int64_t guarded = 0;     // left dead by the loop guard
  std::int64_t superseded = 0;  // left dead because the same sync is open as another job, or was run again
};
// Puts dead tasks back to planned (attempts and crashes 0) and reopens their jobs. Idempotent, and harmless
// while the jobs run: a task that is not dead any more is left alone. Without a job or task named, of several
// jobs that are the same sync only the newest is reopened. Errors: kConflict when nothing can be put back,
// though something is dead.
Result<std::vector<ReplayCount>> Replay(pg::Session& session, const FailureFilter& filter,
                                        const ReplayOptions& options);

}  // namespace weir::ledger
