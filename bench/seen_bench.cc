// weir-seen-bench: what it costs to note a million known ids for a sweep, against one COPY of the same ids
// and one COPY of their records. The notes are written as a worker writes them: a batch at a time, each in a
// transaction of its own, with the lock and the look for a sweep in between. The database is left empty.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/ledger/migrations.h"
#include "common/ledger/seen.h"
#include "common/pg/migrations.h"

namespace weir::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Flags {
  std::string database;
  std::int64_t ids = 1'000'000;
  int batch = 500;
  int record_bytes = 600;
  double max_ratio = 0;  // 0 = any
};

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

void Must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().message);
}

double Since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

std::string IdOf(std::int64_t i) { return fmt::format("g{:07x}", i); }

double CopyAll(pg::Session& session, const std::string& table, const std::string& columns,
               const std::string& rows) {
  const auto began = Clock::now();
  Must(session.SubmitFenced(
      "begin; update weir.bench_fence set n = n; copy " + table + " (" + columns + ") from stdin; commit",
      rows));
  Must(session.Await());
  return Since(began);
}

// The ids are made beforehand, as COPY's rows are: a worker has them from its page.
double Mark(pg::Session& session, const Flags& flags, const ledger::ClaimedTask& task, const TableSpec& table,
            const std::vector<std::string>& ids) {
  Must(ledger::PrepareSeen(session));
  const auto batch = static_cast<std::size_t>(flags.batch);
  const auto began = Clock::now();
  for (std::size_t from = 0; from < ids.size(); from += batch) {
    const auto some = std::span(ids).subspan(from, std::min(batch, ids.size() - from));
    const std::vector<std::string_view> views(some.begin(), some.end());
    Must(session.Script("begin; set local synchronous_commit to off; " +
                        ledger::SeenSql(session, task, table, views, /*kept=*/true) + "commit"));
  }
  return Since(began);
}

int Main(const Flags& flags) {
  pg::SessionOptions options;
  options.url = flags.database;
  options.statement_deadline = std::chrono::minutes(10);
  // As a worker's (worker/worker_app.cc).
  options.setup_sql =
      "set jit = off; set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; "
      "set plan_cache_mode = force_generic_plan";
  pg::Session session(options);
  Must(pg::Up(session, ledger::AllMigrations()));
  Must(
      session.Script("create table weir.bench_fence (n int); insert into weir.bench_fence values (1); "
                     "create table weir.bench_ids (account text, id text, primary key (account, id))"));
  std::string records, id_rows;
  std::vector<std::string> ids;
  const std::string filler(static_cast<std::size_t>(flags.record_bytes), 'm');
  for (std::int64_t i = 0; i < flags.ids; ++i) {
    ids.push_back(IdOf(i));
    id_rows += fmt::format("bench\t{}\n", ids.back());
    records += fmt::format("bench\t{}\t2024-01-01\t{{\"id\":\"{}\",\"moves\":\"{}\"}}\t{}\n", IdOf(i),
                           IdOf(i), filler, i);
  }
  const double record_seconds =
      CopyAll(session, "lichess.games", "account, id, created_at, raw, content_hash", records);
  const double id_seconds = CopyAll(session, "weir.bench_ids", "account, id", id_rows);
  ledger::ClaimedTask task;
  task.source = "lichess";
  task.stream = "games";
  task.account = "bench";
  const double mark_seconds =
      Mark(session, flags, task, FindStream(*FindSource("lichess"), "games")->table, ids);
  const double ratio = mark_seconds / record_seconds, to_ids = mark_seconds / id_seconds;
  fmt::print(
      "{{\"ids\": {}, \"batch\": {}, \"mark_seconds\": {:.2f}, \"copy_records_seconds\": {:.2f}, "
      "\"copy_ids_seconds\": {:.2f}, \"ratio\": {:.3f}, \"ratio_to_ids\": {:.3f}}}\n",
      flags.ids, flags.batch, mark_seconds, record_seconds, id_seconds, ratio, to_ids);
  const auto noted = Must(session.Script("select sum(cardinality(hashes)) from weir.seen"));
  if (noted.Int(0, 0) != flags.ids) throw std::runtime_error("not every id was noted");
  Must(session.Script("drop table weir.bench_fence, weir.bench_ids"));
  Must(pg::Down(session, ledger::AllMigrations(), 0));
  return flags.max_ratio > 0 && to_ids > flags.max_ratio ? 1 : 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::Flags flags;
  CLI::App app("What noting known ids costs against a COPY of them, and one of their records");
  app.add_option("--database", flags.database, "an empty database")->required();
  app.add_option("--ids", flags.ids, "how many")->check(CLI::Range(1, 10'000'000));
  app.add_option("--batch", flags.batch, "ids in a transaction")->check(CLI::Range(1, 10'000));
  app.add_option("--record-bytes", flags.record_bytes, "about, of one record")->check(CLI::Range(1, 100'000));
  app.add_option("--max-ratio", flags.max_ratio, "exit 1 if noting takes more of the COPY of the ids");
  CLI11_PARSE(app, argc, argv);
  try {
    return weir::bench::Main(flags);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  }
}
