#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/job_id.h"

namespace weir::cli {
namespace {

// What is to be replayed must be said: with none of the three it is an error.
class ReplayCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("job", job_, "The job's number")->required()->type_name("JOB");
    auto* what = app.add_option_group("what", "What to try again");
    what->add_option("--page", task_, "One task, as `weir failures list` numbers it")->type_name("TASK");
    what->add_option("--class", class_, "Those of one class, e.g. auth")->type_name("CLASS");
    what->add_flag("--all", all_, "All that were given up");
    what->require_option(1);
    app.add_flag("--dry-run", dry_run_, "Only count them");
  }

  Result<int> Run(CommandContext& context) override {
    const auto filter = Filter();
    if (!filter) return tl::unexpected(filter.error());
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto counts = (*store)->Replay(*filter, dry_run_);
    if (!counts) return tl::unexpected(counts.error());
    Print(context, *filter->job, *counts);
    return kOk;
  }

 private:
  Result<ledger::FailureFilter> Filter() const {
    ledger::FailureFilter filter;
    const auto job = ParseJobId(job_);
    if (!job) return tl::unexpected(job.error());
    filter.job = *job;
    if (!task_.empty()) {
      const auto task = ParseTaskId(task_);
      if (!task) return tl::unexpected(task.error());
      filter.task = *task;
    }
    if (!class_.empty() && !ParseErrorClass(class_)) {
      return Fail(ErrorClass::kConfig, fmt::format("--class: there is no class \"{}\"", class_),
                  "`weir failures list` shows each task's class");
    }
    filter.error_class = class_;
    return filter;
  }

  void Print(CommandContext& context, JobId job, const std::vector<ledger::ReplayCount>& counts) const {
    std::int64_t total = 0;
    for (const auto& count : counts) total += count.tasks;
    if (context.output == OutputFormat::kJson) {
      nlohmann::ordered_json object = {{"job", job.value},
                                       {"dry_run", dry_run_},
                                       {"tasks", total},
                                       {"classes", nlohmann::ordered_json::object()}};
      for (const auto& count : counts) object["classes"][count.error_class] = count.tasks;
      PrintJson(*context.io.out, object);
      return;
    }
    Table table({{"CLASS"}, {"TASKS", true}});
    for (const auto& count : counts) table.AddRow({count.error_class, count.tasks});
    if (!counts.empty()) table.Print(*context.io.out, context.io.out_colour);
    if (total == 0) {
      *context.io.err << "There is nothing to try again.\n";
    } else if (dry_run_) {
      *context.io.err << Grouped(total) << " tasks would be tried again; nothing was changed.\n";
    } else {
      *context.io.err << Grouped(total) << " tasks will be tried again: weir status " << job.value
                      << " --watch\n";
    }
  }

  std::string job_, task_, class_;
  bool all_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeReplayCommand() { return std::make_unique<ReplayCommand>(); }

}  // namespace weir::cli
