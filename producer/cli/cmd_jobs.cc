#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
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
  }

  Result<int> Run(CommandContext& context) override {
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto jobs = (*store)->List(limit_, open_);
    if (!jobs) return tl::unexpected(jobs.error());
    if (context.output == OutputFormat::kTable) {
      PrintJobList(context.io, *jobs);
      return kOk;
    }
    auto array = nlohmann::ordered_json::array();
    for (const auto& job : *jobs) array.push_back(JobJson(job));
    PrintJson(*context.io.out, array);
    return kOk;
  }

 private:
  bool open_ = false;
  int limit_ = 20;
};

}  // namespace

std::unique_ptr<Command> MakeJobsListCommand() { return std::make_unique<JobsListCommand>(); }

}  // namespace weir::cli
