#pragma once

#include <string>
#include <vector>

#include "common/base/clock.h"
#include "producer/cli/command.h"

namespace weir::cli {

// What a run of the command line stands on; tests give their own.
struct CliEnvironment {
  Io io;
  ConfigInputs inputs;  // environment and working directory
  Services* services = nullptr;
  StopSignal* stop = nullptr;
  const Clock* clock = nullptr;
  Actions actions;
  std::vector<CommandEntry> more_commands;  // of other modules, e.g. hidden ones that run as a child process
};

// `args` without the program's name. Returns the exit code; prints everything itself.
int RunCli(const std::vector<std::string>& args, CliEnvironment& environment);

// The program `weir`: this process's streams, environment, signals and services.
int RunCli(int argc, char** argv, Actions actions = {}, std::vector<CommandEntry> more_commands = {},
           LeaseDatabase lease = LeasePrivateDatabase);

}  // namespace weir::cli
