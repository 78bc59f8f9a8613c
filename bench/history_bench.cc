// weir-history-bench: dispatches and claims tasks in a ledger that holds a history of jobs that ended, as the
// engine and a worker do, and prints how many a second. --fill makes the history first; --deleting has the
// leader's deletion of it run meanwhile. The database is one of its own.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/ledger/dispatch.h"
#include "common/ledger/jobs.h"
#include "common/ledger/migrations.h"
#include "common/ledger/tasks.h"
#include "common/pg/deadline_scope.h"
#include "common/pg/migrations.h"
#include "producer/engine/retention.h"

namespace weir::bench {
namespace {

struct Flags {
  std::string database;
  std::int64_t fill = 0;
  int tasks = 5'000, lanes = 16;
  bool deleting = false;
};

constexpr int kTasksOfAJob = 100'000;
constexpr char kOwner[] = "history-bench";

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

// Jobs of ten accounts, a hundred thousand tasks each, that ended eight days ago: one part in a hundred of
// their tasks is dead. On the lanes of the job that is measured, too.
void Fill(pg::Session& session, const Flags& flags) {
  for (std::int64_t left = flags.fill; left > 0; left -= kTasksOfAJob) {
    const std::string tasks = std::to_string(std::min<std::int64_t>(left, kTasksOfAJob));
    const auto job =
        Must(session.Exec("insert into weir.jobs (fingerprint, source, stream, mode, state, now_ms, "
                          "traceparent, created_at, started_at, "
                          "finished_at) select 'history ' || clock_timestamp(), 'lichess', 'games', 'full', "
                          "'partial', 0, 't', t, t, t "
                          "from (select now() - interval '8 days') h (t) returning id::text"));
    const std::string id(job.Text(0, 0));
    Must(session.Exec(
        "insert into weir.job_accounts (job_id, account, position, planned, mode, meter, lanes, state, "
        "finished_at) select $1::int8, 'old' || i, i, true, 'full', 'bench', $2::int, 'partial', now() "
        "from generate_series(0, 9) i",
        {id, std::to_string(flags.lanes)}));
    Must(
        session.Exec("insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi, state, epoch, "
                     "dispatches, dispatched_at, "
                     "advanced_at, finished_at, pages, fetched, inserted, requests, busy_ms) "
                     "select $1::int8, 'old' || i % 10, 'bench', i % $3::int, 1, i, i + 1, case when i % 100 "
                     "= 0 then 'dead' else "
                     "'done' end, 123456789, 1, t, t, t, 1, 100, 90, 1, 400 "
                     "from generate_series(1, $2::int) i, (select now() - interval '8 days') h (t)",
                     {id, tasks, std::to_string(flags.lanes)}));
  }
  Must(session.Script("vacuum (analyze) weir.tasks"));
}

// A job with that many tasks, planned.
std::string Plan(pg::Session& session, const Flags& flags) {
  ledger::JobRequest request;
  request.source = "lichess";
  request.stream = "games";
  const std::string name = "player" + std::to_string(SystemClock().UnixMillis());
  request.accounts.push_back({name, name, "bench", flags.lanes});
  const std::string id = std::to_string(Must(ledger::OpenJob(session, request)).id.value);
  Must(session.Exec("update weir.tasks set state = 'done' where kind = 0 and job_id = $1::int8", {id}));
  Must(session.Exec("update weir.job_accounts set planned = true where job_id = $1::int8", {id}));
  Must(session.Exec(
      "insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi) select $1::int8, $2, 'bench', "
      "i % $3::int, 1, i, i + 1 from generate_series(1, $4::int) i",
      {id, name, std::to_string(flags.lanes), std::to_string(flags.tasks)}));
  Must(session.Exec("update weir.lanes set task_ms = 1 where meter = 'bench'"));
  // As autovacuum does before long: else it is the age of the statistics that is measured, not the history.
  Must(session.Script("vacuum (analyze) weir.tasks"));
  Must(session.Script("analyze weir.jobs, weir.job_accounts, weir.lanes"));
  return id;
}

// As the engine does, and a worker after it, whose batches end the tasks.
std::int64_t Work(pg::Session& session) {
  std::int64_t claimed = 0;
  for (;;) {
    Must(ledger::RequeueLost(session, std::chrono::minutes(1)));
    const auto ready = Must(ledger::TakeReady(session, {}));
    if (ready.empty()) return claimed;
    std::vector<ledger::SentTask> sent;
    for (const auto& task : ready) sent.push_back({task.id, task.epoch});
    Must(ledger::MarkDispatched(session, sent));
    for (const auto& task : ready) {
      const auto claim = Must(ledger::ClaimTask(session, task.id, {.owner = kOwner}));
      if (claim.kind != ledger::ClaimResult::Kind::kClaimed)
        throw std::runtime_error("a task was not claimed");
      ++claimed;
    }
    Must(
        session.Exec("update weir.tasks set state = 'done', owner = null, finished_at = clock_timestamp() "
                     "where state in ('dispatched', 'running') and owner = $1",
                     {kOwner}));
  }
}

int Main(const Flags& flags) {
  const SystemClock clock;
  pg::SessionOptions options;
  options.url = flags.database;
  options.application_name = "weir-history-bench";
  pg::Session session(options);
  Must(pg::Up(session, ledger::AllMigrations()));
  if (flags.fill > 0) {
    const pg::DeadlineScope deadline(session, std::chrono::hours(2));
    Fill(session, flags);
    return 0;
  }
  Plan(session, flags);
  std::atomic<bool> stop{false};
  std::int64_t deleted = 0;
  std::thread deletion;
  if (flags.deleting) {
    deletion = std::thread([&] {
      pg::Session own(options);
      Retention retention(own, clock, {});
      while (!stop) {
        const auto begun = clock.Boot();
        if (!retention.RunOnce()) break;
        // The rest that the leader's service takes between two slices.
        std::this_thread::sleep_for(std::min(2 * (clock.Boot() - begun), std::chrono::milliseconds(500)));
      }
      deleted = retention.Counts().tasks;
    });
  }
  const auto began = clock.Boot();
  const std::int64_t claimed = Work(session);
  const auto took = clock.Boot() - began;
  stop = true;
  if (deletion.joinable()) deletion.join();
  Must(ledger::EndJobs(session));
  if (claimed != flags.tasks) throw std::runtime_error("not every task was dispatched");
  fmt::print("claimed {} {:.3f} deleted {}\n", claimed, static_cast<double>(took.count()) / 1000, deleted);
  return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  CLI::App app("Dispatches and claims tasks in a ledger that holds a history");
  weir::bench::Flags flags;
  app.add_option("--database", flags.database)->required();
  app.add_option("--fill", flags.fill, "adds so many ended tasks, and measures nothing");
  app.add_option("--tasks", flags.tasks);
  app.add_option("--lanes", flags.lanes);
  app.add_flag("--deleting", flags.deleting, "while old history is deleted");
  CLI11_PARSE(app, argc, argv);
  try {
    return weir::bench::Main(flags);
  } catch (const std::exception& e) {
    fmt::print(stderr, "weir-history-bench: {}\n", e.what());
    return 1;
  }
}
