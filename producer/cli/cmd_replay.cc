#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/failure_flags.h"

namespace weir::cli {
namespace {

// What is to be replayed must be said: with nothing of it, or with --all and something else, it is an error.
class ReplayCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("job", flags_.job, "The job's number; without one, of all jobs")->type_name("JOB");
    app.add_option("--page", flags_.task, "One task, as `weir failures list` numbers it")->type_name("TASK");
    flags_.Declare(app);
    app.add_flag("--all", all_, "All that were given up");
    app.add_flag("--dry-run", options_.dry_run, "Only count them");
    app.add_flag("--force", options_.force, "Also what was replayed replay.max times and died again");
  }

  Result<int> Run(CommandContext& context) override {
    if (all_ == flags_.Any()) {
      return Fail(ErrorClass::kConfig,
                  all_ ? "--all, or a choice: not both" : "what is to be tried again was not said",
                  "--page TASK, --class CLASS, --source SOURCE, --account NAME, --since TIME, --until TIME, "
                  "or --all");
    }
    const auto filter = flags_.Filter();
    if (!filter) return tl::unexpected(filter.error());
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    options_.max_replays = config->max_replays;
    const auto counts = (*store)->Replay(*filter, options_);
    if (!counts) return tl::unexpected(counts.error());
    Print(context, filter->job, *counts);
    return kOk;
  }

 private:
  struct Sums {
    std::int64_t tasks = 0, guarded = 0, superseded = 0;
  };

  void Print(CommandContext& context, std::optional<JobId> job,
             const std::vector<ledger::ReplayCount>& counts) const {
    Sums sums;
    for (const auto& count : counts) {
      sums.tasks += count.tasks;
      sums.guarded += count.guarded;
      sums.superseded += count.superseded;
    }
    if (context.output == OutputFormat::kJson) {
      PrintJson(*context.io.out, ToJson(job, counts, sums));
    } else {
      Table table({{"CLASS"}, {"TASKS", true}, {"LEFT DEAD", true}});
      for (const auto& count : counts)
        table.AddRow({count.error_class, count.tasks, count.guarded + count.superseded});
      if (!counts.empty()) table.Print(*context.io.out, context.io.out_colour);
    }
    Remark(context.io, job, sums);
  }

  nlohmann::ordered_json ToJson(std::optional<JobId> job, const std::vector<ledger::ReplayCount>& counts,
                                const Sums& sums) const {
    nlohmann::ordered_json object = {{"job", nullptr},          {"dry_run", options_.dry_run},
                                     {"tasks", sums.tasks},     {"classes", nlohmann::ordered_json::object()},
                                     {"guarded", sums.guarded}, {"superseded", sums.superseded}};
    if (job) object["job"] = job->value;
    for (const auto& count : counts) object["classes"][count.error_class] = count.tasks;
    return object;
  }

  void Remark(const Io& io, std::optional<JobId> job, const Sums& sums) const {
    if (sums.guarded > 0) {
      PrintWarning(io,
                   fmt::format("{} tasks were replayed {} times (replay.max) and died again: they are left "
                               "dead; once more all the same: --force",
                               Grouped(sums.guarded), options_.max_replays));
    }
    if (sums.superseded > 0) {
      PrintWarning(
          io, fmt::format("{} tasks belong to jobs whose sync is open, or was run again, as another job: "
                          "they are left dead; by name they are replayed: weir replay JOB --all",
                          Grouped(sums.superseded)));
    }
    if (sums.tasks == 0) {
      *io.err << "There is nothing to try again.\n";
    } else if (options_.dry_run) {
      *io.err << Grouped(sums.tasks) << " tasks would be tried again; nothing was changed.\n";
    } else {
      const std::string watch =
          job ? fmt::format("weir status {} --watch", job->value) : "weir jobs list --open";
      *io.err << Grouped(sums.tasks)
              << " tasks will be tried again, once `weir serve` or the same sync runs: " << watch << "\n";
    }
  }

  FailureFlags flags_;
  bool all_ = false;
  ledger::ReplayOptions options_;
};

}  // namespace

std::unique_ptr<Command> MakeReplayCommand() { return std::make_unique<ReplayCommand>(); }

}  // namespace weir::cli
