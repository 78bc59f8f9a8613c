#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <set>
#include <string>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/ledger/retention.h"

namespace weir {

// For how long after its end what is kept; 0 = for ever.
struct RetentionLimits {
  std::chrono::milliseconds tasks{7 * 24 * std::chrono::hours(1)};
  std::chrono::milliseconds failures{90 * 24 * std::chrono::hours(1)};
  std::chrono::milliseconds jobs{90 * 24 * std::chrono::hours(1)};
};

// Rows deleted, by table.
struct RetentionCounts {
  std::int64_t tasks = 0, rejects = 0, jobs = 0, garbage = 0, lanes = 0, workers = 0;

  std::int64_t Sum() const { return tasks + rejects + jobs + garbage + lanes + workers; }
};

// Deletes what has ended and is old enough (ledger/retention.h). A pass over all of it begins once a minute
// and goes in slices of a tenth of a second, between which the service rests: whatever there is to delete
// takes a third of a session at most. One thread, the leader's; Counts: any.
class Retention {
 public:
  Retention(pg::Session& session, const Clock& clock, RetentionLimits limits)
      : session_(session), clock_(clock), limits_(limits) {}

  // One slice. True = the pass goes on. A pass that deleted something is logged at its end; one that failed
  // begins again.
  Result<bool> RunOnce();
  // Since the process began.
  RetentionCounts Counts() const;

 private:
  enum class Stage { kTasks, kFailures, kJobs, kGarbage, kLanes, kWorkers, kEnd };

  Result<bool> Step();
  Result<bool> StepJobs(ledger::Part part, std::chrono::milliseconds age);
  Result<bool> NextJob(ledger::Part part, std::chrono::milliseconds age);
  void Begin(Stage stage);
  void EndPass();

  pg::Session& session_;
  const Clock& clock_;
  const RetentionLimits limits_;
  std::chrono::milliseconds next_{0};  // when the next pass begins
  bool under_way_ = false;
  Stage stage_ = Stage::kTasks;
  std::deque<JobId> jobs_;  // due; the first is at work
  std::set<JobId> stuck_;   // due, but to be left alone in this stage
  ledger::PruneCursor cursor_;
  std::string garbage_after_;
  RetentionCounts pass_;
  std::atomic<std::int64_t> tasks_{0}, rejects_{0}, job_rows_{0}, garbage_{0}, lanes_{0}, workers_{0};
};

}  // namespace weir
