// weir-page-bench: a worker's way of a page without Kafka, for profilers: executors as in a worker, fed from
// the ledger by this process. Prints the seconds of one sync. bench/run.sh measures the whole path.

#include <fmt/core.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/config/account_settings.h"
#include "common/ledger/dispatch.h"
#include "common/ledger/jobs.h"
#include "common/ledger/migrations.h"
#include "common/ledger/task_message.h"
#include "common/obs/log.h"
#include "common/obs/memory.h"
#include "common/obs/metrics.h"
#include "common/pg/migrations.h"
#include "worker/task_runner.h"

namespace weir::bench {
namespace {

struct Flags {
  std::string database, upstream, source = "chesscom", mode = "full";
  std::vector<std::string> accounts;
  int lanes = 1, executors = 4;
  bool migrate = false;
};

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

void Must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().message);
}

pg::SessionOptions SessionOptionsFor(const Flags& flags) {
  pg::SessionOptions options;
  options.url = flags.database;
  options.application_name = "weir-page-bench";
  options.setup_sql =
      "set jit = off; set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; "
      "set plan_cache_mode = force_generic_plan";
  return options;
}

// A worker's executors on threads, and what they share.
class Executors {
 public:
  Executors(const Flags& flags, const Config& config)
      : accounts_(config),
        pool_(SessionOptionsFor(flags), config.sessions),
        scheduler_(&clock_),
        keeper_({.worker = "page-bench", .host = "bench", .pid = 1, .lease = config.lease}, &clock_,
                &scheduler_),
        limiter_({}, config.base_delay, config.max_delay, 1) {
    const worker::Shared shared{.config = &config,
                                .accounts = &accounts_,
                                .clock = &clock_,
                                .worker_id = "page-bench",
                                .pool = &pool_,
                                .scheduler = &scheduler_,
                                .keeper = &keeper_,
                                .claims = &claims_,
                                .held = &held_,
                                .limiter = &limiter_,
                                .finished = &finished_,
                                .metrics = &metrics_,
                                .buffers = &buffers_,
                                .gate = &gate_,
                                .aborting = &aborting_};
    for (int i = 0; i < config.executors; ++i) {
      runners_.push_back(std::make_unique<worker::TaskRunner>(shared));
      threads_.emplace_back([runner = runners_.back().get()] {
        while (runner->RunOnce()) {
        }
      });
    }
  }
  ~Executors() {
    scheduler_.Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  void Deliver(const ledger::ReadyTask& task) {
    worker::Delivery delivery;
    delivery.message = Must(ledger::DecodeTask(ledger::EncodeTask(task)));
    delivery.from = {"weir.tasks", 0};
    scheduler_.Add(std::move(delivery));
  }
  void KeepLanes(pg::Session& session) { Must(keeper_.RunOnce(session)); }
  void Release(pg::Session& session) { Must(keeper_.ReleaseAll(session)); }

 private:
  SystemClock clock_;
  Metrics metrics_{"weir-page-bench", "0"};
  worker::BufferPool buffers_;
  worker::WriteGate gate_;
  std::atomic<bool> aborting_{false};
  AccountBook accounts_;
  pg::SessionPool pool_;
  worker::LaneScheduler scheduler_;
  worker::LaneKeeper keeper_;
  worker::HeldTasks held_;
  worker::ClaimWatch claims_;
  worker::Limiter limiter_;
  worker::FinishedQueue finished_;
  std::vector<std::unique_ptr<worker::TaskRunner>> runners_;
  std::vector<std::thread> threads_;
};

ledger::JobRequest RequestOf(const Flags& flags, const Config& config, const Clock& clock) {
  ledger::JobRequest request;
  request.source = flags.source;
  request.stream = "games";
  request.mode = ParseJobMode(flags.mode);
  request.now_ms = clock.UnixMillis();
  for (const std::string& name : flags.accounts) {
    const AccountSettings settings = Must(ResolveAccount(config, *FindSource(flags.source), name));
    request.accounts.push_back({settings.key, name, settings.meter, settings.lanes});
  }
  return request;
}

ledger::JobStatus Drive(Executors& executors, pg::Session& session, JobId job) {
  constexpr std::chrono::milliseconds kGap{20};  // as the engine's
  for (int turn = 0;; ++turn) {
    const auto ready = Must(ledger::TakeReady(session, {}));
    std::vector<ledger::SentTask> sent;
    for (const auto& task : ready) sent.push_back({task.id, task.epoch});
    if (!sent.empty()) Must(ledger::MarkDispatched(session, sent));
    for (const auto& task : ready) executors.Deliver(task);
    Must(ledger::EndJobs(session));
    if (turn % 50 == 0) executors.KeepLanes(session);
    if (Must(session.Exec("select finished_at is not null from weir.jobs where id = $1::int8",
                          {std::to_string(job.value)}, "ended"))
            .Bool(0, 0)) {
      return Must(ledger::GetJob(session, job));
    }
    std::this_thread::sleep_for(kGap);
  }
}

int Main(const Flags& flags) {
  Config config;
  config.executors = flags.executors;
  config.sources[flags.source].base_url = flags.upstream;
  config.sources[flags.source].lanes = flags.lanes;
  const SystemClock clock;
  pg::Session session(SessionOptionsFor(flags));
  if (flags.migrate) Must(pg::Up(session, ledger::AllMigrations()));
  Executors executors(flags, config);
  const auto began = clock.Boot();
  const JobId job = Must(ledger::OpenJob(session, RequestOf(flags, config, clock))).id;
  const ledger::JobStatus status = Drive(executors, session, job);
  const auto took = clock.Boot() - began;
  executors.Release(session);
  fmt::print("{} {:.3f} s, {} fetched, {} inserted, {} updated, {} unchanged, RSS {:.1f} MiB\n", status.state,
             static_cast<double>(took.count()) / 1000, status.totals.fetched, status.totals.inserted,
             status.totals.updated, status.totals.unchanged,
             static_cast<double>(ResidentBytes()) / (1 << 20));
  return status.state == "succeeded" ? 0 : 1;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, 1);
  CLI::App app("Times a sync of a worker's parts without Kafka");
  weir::bench::Flags flags;
  app.add_option("--database", flags.database)->required();
  app.add_option("--upstream", flags.upstream)->required();
  app.add_option("--source", flags.source);
  app.add_option("--account", flags.accounts)->required();
  app.add_option("--mode", flags.mode);
  app.add_option("--lanes", flags.lanes);
  app.add_option("--executors", flags.executors);
  app.add_flag("--migrate", flags.migrate, "migrate the database first");
  CLI11_PARSE(app, argc, argv);
  try {
    return weir::bench::Main(flags);
  } catch (const std::exception& e) {
    fmt::print(stderr, "weir-page-bench: {}\n", e.what());
    return 1;
  }
}
