#include "producer/engine/retention.h"

#include "common/obs/log.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kEvery{60'000};
constexpr milliseconds kSlice{100};
constexpr int kBatch = 1'000;
constexpr int kJobsAtATime = 100;

}  // namespace

Result<bool> Retention::RunOnce() {
  const milliseconds begun = clock_.Boot();
  if (!under_way_ && begun < next_) return false;
  if (!under_way_) Begin(Stage::kTasks);
  under_way_ = true;
  do {
    auto more = Step();
    if (!more) {
      under_way_ = false;
      return Fail(more.error());
    }
    if (!*more) Begin(static_cast<Stage>(static_cast<int>(stage_) + 1));
    if (stage_ == Stage::kEnd) {
      EndPass();
      return false;
    }
  } while (clock_.Boot() - begun < kSlice);
  return true;
}

void Retention::Begin(Stage stage) {
  stage_ = stage;
  jobs_.clear();
  stuck_.clear();
  cursor_ = {};
  garbage_after_.clear();
}

void Retention::EndPass() {
  under_way_ = false;
  next_ = clock_.Boot() + kEvery;
  if (pass_.Sum() > 0) {
    Log(LogLevel::kInfo, "old history was deleted",
        {{"tasks", pass_.tasks},
         {"rejects", pass_.rejects},
         {"jobs", pass_.jobs},
         {"garbage", pass_.garbage},
         {"lanes", pass_.lanes},
         {"workers", pass_.workers}});
  }
  pass_ = {};
}

Result<bool> Retention::Step() {
  // Adds up what a batch deleted; true when it was a whole one.
  const auto count = [](Result<std::int64_t> rows, std::int64_t& pass,
                        std::atomic<std::int64_t>& all) -> Result<bool> {
    if (!rows) return Fail(rows.error());
    pass += *rows;
    all += *rows;
    return *rows >= kBatch;
  };
  switch (stage_) {
    case Stage::kTasks:
      return StepJobs(ledger::Part::kTasks, limits_.tasks);
    case Stage::kFailures:
      return StepJobs(ledger::Part::kFailures, limits_.failures);
    case Stage::kJobs:
      return StepJobs(ledger::Part::kJobs, limits_.jobs);
    case Stage::kGarbage:
      if (limits_.failures.count() == 0) return false;
      return count(ledger::PruneGarbage(session_, limits_.failures, garbage_after_, kBatch), pass_.garbage,
                   garbage_);
    case Stage::kLanes:
      if (limits_.jobs.count() == 0) return false;
      return count(ledger::PruneLanes(session_, limits_.jobs, kBatch), pass_.lanes, lanes_);
    case Stage::kWorkers:
      return count(ledger::PruneWorkers(session_, kBatch), pass_.workers, workers_);
    case Stage::kEnd:
      break;
  }
  return false;
}

Result<bool> Retention::NextJob(ledger::Part part, milliseconds age) {
  auto due = ledger::JobsDue(session_, part, age, kJobsAtATime + static_cast<int>(stuck_.size()));
  if (!due) return Fail(due.error());
  for (const JobId job : *due) {
    if (!stuck_.contains(job)) jobs_.push_back(job);
  }
  return !jobs_.empty();
}

Result<bool> Retention::StepJobs(ledger::Part part, milliseconds age) {
  if (age.count() == 0) return false;
  if (jobs_.empty()) return NextJob(part, age);
  auto pruned = ledger::PruneJob(session_, jobs_.front(), part, age, cursor_, kBatch);
  if (!pruned) return Fail(pruned.error());
  pass_.tasks += pruned->tasks;
  tasks_ += pruned->tasks;
  pass_.rejects += pruned->rejects;
  rejects_ += pruned->rejects;
  pass_.jobs += pruned->jobs;
  job_rows_ += pruned->jobs;
  if (pruned->busy) stuck_.insert(jobs_.front());
  if (pruned->busy || pruned->done) {
    jobs_.pop_front();
    cursor_ = {};
  }
  return true;
}

RetentionCounts Retention::Counts() const {
  return {tasks_.load(), rejects_.load(), job_rows_.load(), garbage_.load(), lanes_.load(), workers_.load()};
}

}  // namespace weir
