#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/job_id.h"
#include "producer/cli/job_view.h"

namespace weir::cli {
namespace {

Result<std::vector<ledger::Failure>> Read(CommandContext& context, const ledger::FailureFilter& filter) {
  const auto config = context.Load();
  if (!config) return tl::unexpected(config.error());
  auto store = context.services->OpenJobs(*config);
  if (!store) return tl::unexpected(store.error());
  return (*store)->Failures(filter);
}

class FailuresListCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("--job", job_, "Only of this job")->type_name("JOB");
    app.add_option("--class", filter_.error_class, "Only of this class, e.g. auth")->type_name("CLASS");
    app.add_option("--source", filter_.source, "Only of this source")->type_name("SOURCE");
    app.add_option("-n,--limit", filter_.limit, "So many at most")
        ->check(CLI::Range(1, 100'000))
        ->type_name("N")
        ->capture_default_str();
  }

  Result<int> Run(CommandContext& context) override {
    if (!job_.empty()) {
      const auto id = ParseJobId(job_);
      if (!id) return tl::unexpected(id.error());
      filter_.job = *id;
    }
    const auto failures = Read(context, filter_);
    if (!failures) return tl::unexpected(failures.error());
    if (context.output == OutputFormat::kTable) {
      PrintFailureList(context.io, *failures);
      return kOk;
    }
    auto array = nlohmann::ordered_json::array();
    for (const auto& failure : *failures) array.push_back(FailureJson(failure));
    PrintJson(*context.io.out, array);
    return kOk;
  }

 private:
  std::string job_;
  ledger::FailureFilter filter_;
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
    const auto failures = Read(context, filter);
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
