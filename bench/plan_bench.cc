// weir-plan-bench: plans many page ranges into the ledger the way a worker does (claim, document, COPY under
// the fence), then dispatches some of them. Prints what both took and what they held. The source is the
// bench's own, since no real one has so many pages; all else is a worker's and the engine's.

#include <fmt/core.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/ledger/dispatch.h"
#include "common/ledger/jobs.h"
#include "common/obs/memory.h"
#include "common/obs/metrics.h"
#include "common/sources/source.h"
#include "worker/page_processor.h"

namespace weir::bench {
namespace {

struct Flags {
  std::string database, upstream;
  std::int64_t tasks = 1'000'000;
  int lanes = 4, passes = 100;
};

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

void Must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().message);
}

// Pages 0…N of everyone, in ranges of one; reads like Lichess but for the plan.
class ManyPages final : public Source {
 public:
  explicit ManyPages(std::int64_t tasks) : tasks_(tasks), like_(*FindSource("lichess")) {}

  const SourceInfo& Info() const override { return like_.Info(); }
  Result<std::string> AccountKey(std::string_view name) const override { return like_.AccountKey(name); }
  std::string Meter(const AccountRef&, const Secret&) const override { return "bench"; }
  std::vector<std::pair<std::string, Secret>> SecretHeaders(
      const std::map<std::string, Secret>&) const override {
    return {};
  }
  Result<PageRequest> Request(const TaskContext& task) const override { return like_.Request(task); }
  Verdict Judge(const TaskContext& task, const HttpResponseHead& head, std::string_view body) const override {
    return like_.Judge(task, head, body);
  }
  std::optional<std::string> RenamedTo(std::string_view) const override { return std::nullopt; }
  Result<void> Plan(const TaskContext&, const AccountState&, std::string_view,
                    const TaskSink& sink) const override {
    for (std::int64_t page = 0; page < tasks_; ++page) {
      if (auto ok = sink({{SelectorKind::kPages, page, page + 1, ""}, std::nullopt}); !ok) return ok;
    }
    return {};
  }
  Result<PageEnd> FinishPage(const TaskContext& task, const PageResult& result) const override {
    return like_.FinishPage(task, result);
  }
  std::unique_ptr<RecordMapper> NewMapper(std::string_view stream) const override {
    return like_.NewMapper(stream);
  }

 private:
  const std::int64_t tasks_;
  const Source& like_;
};

double Mib(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

double Seconds(std::chrono::milliseconds time) { return static_cast<double>(time.count()) / 1000; }

worker::TaskWork Claim(pg::Session& session, const Flags& flags, const Source& source, const Clock& clock) {
  ledger::JobRequest request;
  request.source = "lichess";
  request.stream = "games";
  request.now_ms = clock.UnixMillis();
  request.accounts.push_back({"player0", "player0", "bench", flags.lanes});
  Must(ledger::OpenJob(session, request));
  const auto ready = Must(ledger::TakeReady(session, {}));
  if (ready.size() != 1) throw std::runtime_error("the ledger is not empty");
  auto claim = Must(ledger::ClaimTask(session, ready.front().id, {.owner = "plan-bench"}));
  if (claim.kind != ledger::ClaimResult::Kind::kClaimed) throw std::runtime_error("the plan was not claimed");
  worker::TaskWork work;
  work.task = std::move(*claim.task);
  work.source = &source;
  work.stream = FindStream(source, "games");
  work.settings.base_url = flags.upstream;
  work.settings.user_agent = "weir-plan-bench";
  return work;
}

void Plan(const Flags& flags, const Config& config, pg::SessionPool& pool, const Clock& clock) {
  const ManyPages source(flags.tasks);
  auto session = Must(pool.Acquire());
  worker::TaskWork work = Claim(*session, flags, source, clock);
  Fetcher fetcher(FetchOptions{}, clock);
  worker::BatchWriter writer(&pool, worker::WriterOptions{});
  Metrics metrics("weir-plan-bench", "0");
  work.metrics = &metrics.For(work.task.source, work.task.stream, LaneClass::kBulk);
  worker::PageProcessor processor({&config, &clock, &fetcher, &writer, &pool, &metrics});
  const std::int64_t before = ResidentBytes();
  const auto began = clock.Boot();
  worker::PageHooks hooks;
  hooks.abort = [] { return std::optional<Error>(); };
  hooks.between = [] { return std::optional<worker::Pause>(); };
  hooks.answered = [] {};
  Must(processor.Run(work, hooks));
  const auto took = clock.Boot() - began;
  const auto rows =
      Must(session->Exec("select count(*) from weir.tasks where kind = $1::int and state = 'planned'",
                         {std::to_string(static_cast<int>(SelectorKind::kPages))}));
  if (rows.Int(0, 0) != flags.tasks) throw std::runtime_error("not every task was planned");
  fmt::print("planned {} {:.3f} {:.2f}\n", flags.tasks, Seconds(took), Mib(ResidentBytes() - before));
}

// As the engine does, with tasks of a millisecond: the largest window.
void Dispatch(const Flags& flags, pg::SessionPool& pool, const Clock& clock) {
  auto session = Must(pool.Acquire());
  Must(session->Exec("update weir.lanes set task_ms = 1"));
  const std::int64_t before = ResidentBytes();
  std::int64_t sent = 0, most = 0;
  const auto began = clock.Boot();
  for (int i = 0; i < flags.passes; ++i) {
    const auto pass = clock.Boot();
    const auto ready = Must(ledger::TakeReady(*session, {}));
    std::vector<ledger::SentTask> sent_tasks;
    for (const auto& task : ready) sent_tasks.push_back({task.id, task.epoch});
    sent += Must(ledger::MarkDispatched(*session, sent_tasks));
    most = std::max<std::int64_t>(most, (clock.Boot() - pass).count());
    // A worker's part, so that the next pass finds room.
    Must(session->Exec("update weir.tasks set state = 'done' where state = 'dispatched'"));
  }
  fmt::print("dispatched {} {:.3f} {} {:.2f}\n", sent, Seconds(clock.Boot() - began), most,
             Mib(ResidentBytes() - before));
}

int Main(const Flags& flags) {
  const SystemClock clock;
  const Config config;
  pg::SessionOptions options;
  options.url = flags.database;
  options.application_name = "weir-plan-bench";
  pg::SessionPool pool(options, 2);
  Plan(flags, config, pool, clock);
  Dispatch(flags, pool, clock);
  return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, 2);
  CLI::App app("Plans many page ranges into an empty ledger and dispatches some");
  weir::bench::Flags flags;
  app.add_option("--database", flags.database)->required();
  app.add_option("--upstream", flags.upstream)->required();
  app.add_option("--tasks", flags.tasks);
  app.add_option("--lanes", flags.lanes);
  app.add_option("--passes", flags.passes, "of the dispatcher");
  CLI11_PARSE(app, argc, argv);
  try {
    return weir::bench::Main(flags);
  } catch (const std::exception& e) {
    fmt::print(stderr, "weir-plan-bench: {}\n", e.what());
    return 1;
  }
}
