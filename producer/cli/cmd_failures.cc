#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/failure_flags.h"
#include "producer/cli/failure_view.h"
#include "producer/cli/job_id.h"

namespace weir::cli {
namespace {

Result<std::unique_ptr<JobStore>> Open(CommandContext& context) {
  const auto config = context.Load();
  if (!config) return tl::unexpected(config.error());
  return context.services->OpenJobs(*config);
}

// As a table: the classes, then the newest tasks. As JSON: the tasks, or with --group the classes.
class FailuresListCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("--job", flags_.job, "Only of this job")->type_name("JOB");
    flags_.Declare(app);
    app.add_flag("--group", group_, "Only the classes, with counts, times and hints");
    app.add_option("-n,--limit", limit_, "So many tasks at most (default: 20 in a table, 1000 in JSON)")
        ->check(CLI::Range(1, 100'000))
        ->type_name("N");
  }

  Result<int> Run(CommandContext& context) override {
    auto filter = flags_.Filter();
    if (!filter) return tl::unexpected(filter.error());
    const bool table = context.output == OutputFormat::kTable;
    filter->limit = limit_.value_or(table ? 20 : 1000);
    auto store = Open(context);
    if (!store) return tl::unexpected(store.error());
    std::vector<ledger::FailureGroup> groups;
    std::vector<ledger::Failure> failures;
    if (table || group_) {
      auto read = (*store)->FailureGroups(*filter);
      if (!read) return tl::unexpected(read.error());
      groups = std::move(*read);
    }
    if (!group_) {
      auto read = (*store)->Failures(*filter);
      if (!read) return tl::unexpected(read.error());
      failures = std::move(*read);
    }
    if (table) {
      PrintFailureGroups(context.io, groups);
      if (!failures.empty()) PrintFailureList(context.io, failures);
      return kOk;
    }
    auto array = nlohmann::ordered_json::array();
    for (const auto& group : groups) array.push_back(FailureGroupJson(group));
    for (const auto& failure : failures) array.push_back(FailureJson(failure));
    PrintJson(*context.io.out, array);
    return kOk;
  }

 private:
  FailureFlags flags_;
  bool group_ = false;
  std::optional<int> limit_;
};

class FailuresShowCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("task", task_, "The task's number")->required()->type_name("TASK");
  }

  Result<int> Run(CommandContext& context) override {
    const auto id = ParseTaskId(task_);
    if (!id) return tl::unexpected(id.error());
    ledger::FailureFilter filter;
    filter.task = *id;
    auto store = Open(context);
    if (!store) return tl::unexpected(store.error());
    const auto failures = (*store)->Failures(filter);
    if (!failures) return tl::unexpected(failures.error());
    if (failures->empty()) {
      return Fail(ErrorClass::kNotFound, fmt::format("task {} was not given up", id->value),
                  "`weir failures list` shows those that were");
    }
    if (context.output == OutputFormat::kJson) {
      PrintJson(*context.io.out, FailureDetailJson(failures->front()));
    } else {
      PrintFailure(context.io, failures->front());
    }
    return kOk;
  }

 private:
  std::string task_;
};

}  // namespace

std::unique_ptr<Command> MakeFailuresListCommand() { return std::make_unique<FailuresListCommand>(); }
std::unique_ptr<Command> MakeFailuresShowCommand() { return std::make_unique<FailuresShowCommand>(); }

}  // namespace weir::cli
