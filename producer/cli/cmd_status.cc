#include <CLI/CLI.hpp>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/job_id.h"
#include "producer/cli/job_view.h"
#include "producer/cli/progress_printer.h"

namespace weir::cli {
namespace {

class StatusCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("job", job_, "The job's number")->required()->type_name("JOB");
    app.add_flag("-w,--watch", watch_, "Show progress until it ends; the exit code is then the job's");
  }

  Result<int> Run(CommandContext& context) override {
    const auto id = ParseJobId(job_);
    if (!id) return tl::unexpected(id.error());
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    auto job = watch_ ? Watch(**store, *id, context) : (*store)->Get(*id);
    if (!job) return tl::unexpected(job.error());
    PrintJob(context.io, context.output, *job);
    if (watch_ && context.stop->Received() != 0 && !job->Ended()) return context.stop->ExitCode();
    return watch_ ? ExitCodeOf(*job) : static_cast<int>(kOk);
  }

 private:
  // The job as it ended, or as it stood when a signal came.
  static Result<ledger::JobStatus> Watch(JobStore& store, JobId id, CommandContext& context) {
    constexpr std::chrono::milliseconds kEvery{500};
    ProgressPrinter progress(context.io);
    for (;;) {
      auto job = store.Get(id);
      if (!job) return job;
      progress.Update(*job, context.clock->Boot());
      if (!job->Ended() && !context.stop->WaitFor(kEvery)) continue;
      progress.Clear();
      return job;
    }
  }

  std::string job_;
  bool watch_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeStatusCommand() { return std::make_unique<StatusCommand>(); }

}  // namespace weir::cli
