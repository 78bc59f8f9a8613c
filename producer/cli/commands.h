#pragma once

#include <memory>

#include "producer/cli/command.h"

namespace weir::cli {

// One maker a cmd_*.cc; the table in commands.cc lists them.
std::unique_ptr<Command> MakeSyncCommand();
std::unique_ptr<Command> MakeEnqueueCommand();
std::unique_ptr<Command> MakePlanCommand();
std::unique_ptr<Command> MakeServeCommand();
std::unique_ptr<Command> MakeUpCommand();
std::unique_ptr<Command> MakeDownCommand();
std::unique_ptr<Command> MakeStatusCommand();
std::unique_ptr<Command> MakeJobsListCommand();
std::unique_ptr<Command> MakeFailuresListCommand();
std::unique_ptr<Command> MakeFailuresShowCommand();
std::unique_ptr<Command> MakeReplayCommand();
std::unique_ptr<Command> MakeCancelCommand();
std::unique_ptr<Command> MakePauseCommand();
std::unique_ptr<Command> MakeResumeCommand();
std::unique_ptr<Command> MakeGarbageListCommand();
std::unique_ptr<Command> MakeGarbagePurgeCommand();
std::unique_ptr<Command> MakeLanesCommand();
std::unique_ptr<Command> MakeSweepPlanCommand();
std::unique_ptr<Command> MakeSweepApplyCommand();
std::unique_ptr<Command> MakeDriftCommand();
std::unique_ptr<Command> MakeSourcesListCommand();
std::unique_ptr<Command> MakeSourcesCheckCommand();
std::unique_ptr<Command> MakeSourcesPreviewCommand();
std::unique_ptr<Command> MakeMigrateUpCommand();
std::unique_ptr<Command> MakeMigrateDownCommand();
std::unique_ptr<Command> MakeMigrateStatusCommand();
std::unique_ptr<Command> MakeDoctorCommand();
std::unique_ptr<Command> MakeInitCommand();
std::unique_ptr<Command> MakeConfigShowCommand();
std::unique_ptr<Command> MakeConfigSchemaCommand();
std::unique_ptr<Command> MakeCompletionCommand(const char* shell);

}  // namespace weir::cli
