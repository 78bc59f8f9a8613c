#include <CLI/CLI.hpp>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/job_id.h"
#include "producer/cli/job_view.h"

namespace weir::cli {
namespace {

// cancel, pause and resume: one change of a job, and the job as it stands after it.
class JobControlCommand final : public Command {
 public:
  using Change = Result<void> (JobStore::*)(JobId);
  explicit JobControlCommand(Change change) : change_(change) {}

  void Declare(CLI::App& app) override {
    app.add_option("job", job_, "The job's number")->required()->type_name("JOB");
  }

  Result<int> Run(CommandContext& context) override {
    const auto id = ParseJobId(job_);
    if (!id) return tl::unexpected(id.error());
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    if (auto done = ((**store).*change_)(*id); !done) return tl::unexpected(done.error());
    const auto job = (*store)->Get(*id);
    if (!job) return tl::unexpected(job.error());
    PrintJob(context.io, context.output, *job);
    return kOk;
  }

 private:
  const Change change_;
  std::string job_;
};

}  // namespace

std::unique_ptr<Command> MakeCancelCommand() {
  return std::make_unique<JobControlCommand>(&JobStore::Cancel);
}
std::unique_ptr<Command> MakePauseCommand() { return std::make_unique<JobControlCommand>(&JobStore::Pause); }
std::unique_ptr<Command> MakeResumeCommand() {
  return std::make_unique<JobControlCommand>(&JobStore::Resume);
}

}  // namespace weir::cli
