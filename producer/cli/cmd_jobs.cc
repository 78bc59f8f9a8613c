#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/job_id.h"
#include "producer/cli/job_view.h"

namespace weir::cli {
namespace {

class JobsListCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_flag("--open", open_, "Only those that have not ended");
    app.add_option("-n,--limit", limit_, "The newest so many")
        ->check(CLI::Range(1, 10'000))
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--before", before_,
                   "Older ones than this job: the next page after the list that ended with it")
        ->type_name("JOB");
  }

  Result<int> Run(CommandContext& context) override {
    std::optional<JobId> before;
    if (!before_.empty()) {
      const auto job = ParseJobId(before_);
      if (!job) return tl::unexpected(job.error());
      before = *job;
    }
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto jobs = (*store)->List(limit_, open_, before);
    if (!jobs) return tl::unexpected(jobs.error());
    if (context.output == OutputFormat::kTable) {
      if (jobs->empty() && before) {
        *context.io.err << "There are no older jobs.\n";
        return kOk;
      }
      PrintJobList(context.io, *jobs);
      if (static_cast<int>(jobs->size()) == limit_)
        *context.io.err << fmt::format("older ones: weir jobs list --before {}{}\n", jobs->back().id.value,
                                       open_ ? " --open" : "");
      return kOk;
    }
    auto array = nlohmann::ordered_json::array();
    for (const auto& job : *jobs) array.push_back(JobJson(job));
    PrintJson(*context.io.out, array);
    return kOk;
  }

 private:
  bool open_ = false;
  std::string before_;
  int limit_ = 20;
};

}  // namespace

std::unique_ptr<Command> MakeJobsListCommand() { return std::make_unique<JobsListCommand>(); }

}  // namespace weir::cli
