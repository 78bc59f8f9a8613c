#include "tests/integration/worker_fixture.h"

#include <stdexcept>

#include "common/config/account_settings.h"
#include "common/ledger/migrations.h"
#include "common/pg/migrations.h"
#include "tests/support/upstream/upstream_check.h"

namespace weir::testing {
namespace {

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

void Must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().message);
}

}  // namespace

const Clock& WorkerFixture::RealClock() {
  static const SystemClock clock;
  return clock;
}

WorkerFixture::WorkerFixture(const Clock& clock) : clock_(clock), session_(database_.Options()) {
  Must(upstream_.Start());
  Must(pg::Up(session_, ledger::AllMigrations()));
  for (const char* source : {"lichess", "chesscom"}) {
    config_.sources[source].base_url = upstream_.url();
    config_.sources[source].retry_after_floor = std::chrono::milliseconds(1);
  }
  config_.base_delay = std::chrono::milliseconds(1);
  config_.max_delay = std::chrono::milliseconds(2);
  config_.batch_records = 100;
}

WorkerFixture::Worker::Worker(WorkerFixture* of, std::string id)
    : fixture(of),
      pool(of->database_.Options(), 3),
      scheduler(&of->clock_),
      keeper({.worker = id, .host = "test", .pid = 1}, &of->clock_, &scheduler),
      limiter({.initial_delay_ms = 1, .max_delay_ms = 2}, of->config_.base_delay, of->config_.max_delay, 1),
      gate(of->gate_pauses_),
      runner({.config = &of->config_,
              .clock = of->runner_clock_,
              .worker_id = id,
              .pool = &pool,
              .scheduler = &scheduler,
              .keeper = &keeper,
              .claims = &claims,
              .held = &held,
              .limiter = &limiter,
              .finished = &finished,
              .metrics = &of->metrics_,
              .gate = &gate,
              .aborting = &aborting}) {
  keeper.OnRelease([this, id](pg::Session& session, const LaneId& lane) {
    const auto kept = limiter.Memory(lane, fixture->clock_.Boot(), true);
    return ledger::SaveLane(session, lane, id, kept.wait, kept.waiting_for, kept.memory);
  });
}

void WorkerFixture::Worker::Deliver(const ledger::ReadyTask& task) {
  worker::Delivery delivery;
  delivery.message = Must(ledger::DecodeTask(ledger::EncodeTask(task)));
  delivery.from = {"weir.tasks", 0};
  scheduler.Add(std::move(delivery));
}

ledger::JobRequest WorkerFixture::Request(const std::string& source,
                                          const std::vector<std::string>& accounts) const {
  ledger::JobRequest request;
  request.source = source;
  request.stream = "games";
  request.now_ms = clock_.UnixMillis();
  for (const std::string& name : accounts) {
    const AccountSettings settings = Must(ResolveAccount(config_, *FindSource(source), name));
    request.accounts.push_back({settings.key, name, settings.meter, settings.lanes});
  }
  return request;
}

JobId WorkerFixture::Open(const ledger::JobRequest& request) {
  return Must(ledger::OpenJob(session_, request)).id;
}

std::vector<ledger::ReadyTask> WorkerFixture::Ready() {
  auto ready = Must(ledger::TakeReady(session_, {}));
  std::vector<ledger::SentTask> sent;
  for (const auto& task : ready) sent.push_back({task.id, task.epoch});
  if (!sent.empty()) Must(ledger::MarkDispatched(session_, sent));
  return ready;
}

ledger::JobStatus WorkerFixture::Finish(Worker& worker, JobId job) {
  for (int turns = 0; turns < 10'000; ++turns) {
    Text("update weir.tasks set not_before = now() - interval '1 s' where state = 'parked'");
    Text("update weir.lanes set not_before = null");
    for (const auto& task : Ready()) worker.Deliver(task);
    while (worker.scheduler.Queued() > 0) worker.RunOnce();
    EndJobs();
    const ledger::JobStatus status = Must(ledger::GetJob(session_, job));
    if (status.Ended()) return status;
  }
  throw std::runtime_error("the job does not end");
}

void WorkerFixture::EndJobs() {
  Must(ledger::EndJobs(session_, /*sweeps=*/true));
  Must(sweeper_.RunOnce());
  Must(ledger::EndJobs(session_, /*sweeps=*/true));
}

ledger::JobStatus WorkerFixture::Sync(const ledger::JobRequest& request) {
  Worker worker(this, "worker-a");
  const JobId job = Open(request);
  ledger::JobStatus status = Finish(worker, job);
  Must(worker.keeper.ReleaseAll(session_));
  return status;
}

void WorkerFixture::ExpectEqualsUpstream(const std::string& source, const std::string& player,
                                         const std::string& query) {
  auto result = Must(sim::CheckUpstream(upstream_.url(), session_, {source, player, query}));
  EXPECT_TRUE(result.ok()) << source << "/" << player << ": " << result.Summary();
  EXPECT_GT(result.equal, 0);
}

}  // namespace weir::testing
