#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/config/config.h"
#include "common/ledger/dispatch.h"
#include "common/ledger/jobs.h"
#include "common/obs/metrics.h"
#include "common/pg/session.h"
#include "producer/sweeper/sweeper.h"
#include "tests/support/postgres/test_postgres.h"
#include "tests/support/upstream/sample_upstream.h"
#include "worker/task_runner.h"

namespace weir::testing {

// The path of a page from the ledger to the tables, with a real PostgreSQL and the sample upstream; only
// Kafka is left out: what TakeReady gives is put into the scheduler directly. One thread drives everything by
// RunOnce.
class WorkerFixture : public ::testing::Test {
 protected:
  static const Clock& RealClock();
  explicit WorkerFixture(const Clock& clock = RealClock());

  // A worker's parts. Several of them are several workers.
  struct Worker {
    Worker(WorkerFixture* fixture, std::string id);
    // Puts a task into its scheduler, as the poll loop would.
    void Deliver(const ledger::ReadyTask& task);
    // One task to its end; the queue must not be empty.
    void RunOnce() { runner.RunOnce(); }

    WorkerFixture* fixture;
    pg::SessionPool pool;
    worker::LaneScheduler scheduler;
    worker::LaneKeeper keeper;
    worker::ClaimWatch claims;
    worker::HeldTasks held;
    worker::Limiter limiter;
    worker::WriteGate gate;
    worker::FinishedQueue finished;
    std::atomic<bool> aborting{false};
    worker::TaskRunner runner;
  };

  ledger::JobRequest Request(const std::string& source, const std::vector<std::string>& accounts) const;
  JobId Open(const ledger::JobRequest& request);
  // Works on the job until it has ended, sweeps included; parked tasks are made due at once, as if their wait
  // were over.
  ledger::JobStatus Finish(Worker& worker, JobId job);
  ledger::JobStatus Sync(const ledger::JobRequest& request);
  // What the leader does for jobs whose tasks have ended.
  void EndJobs();
  std::vector<ledger::ReadyTask> Ready();
  std::string Text(const std::string& sql) { return database_.Query(sql); }
  // The tables hold what the upstream has; fails the test with the differences.
  void ExpectEqualsUpstream(const std::string& source, const std::string& player,
                            const std::string& query = "");

  TestPostgres database_;
  sim::SampleUpstream upstream_;
  const Clock& clock_;
  const Clock* runner_clock_ = &clock_;  // of the runners of workers made from now on
  Metrics metrics_{"test", "0"};
  Config config_;
  worker::WriteGate::Pauses gate_pauses_;  // of workers made from now on
  pg::Session session_;
  SweepLimits sweep_limits_;
  Sweeper sweeper_{session_, clock_, [this](std::string_view) { return sweep_limits_; }};
};

}  // namespace weir::testing
