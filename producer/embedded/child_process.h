#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace weir {

// One of weir's own programs as a child, in a session of its own (the terminal's Ctrl-C is not for it), with
// its output appended to a file, no signal ignored or blocked, and none of our open files but `status_fd`.
struct ChildSpec {
  std::vector<std::string> argv;                   // argv[0] is the program's path
  std::map<std::string, std::string> environment;  // added to ours
  std::string output_file;                         // bounded (BoundLog)
  // For one that outlives us: folder /, and of our environment only what every program needs, no settings and
  // no secrets.
  bool detached = false;
  int death_signal = 0;  // sent to it when the thread that spawned it ends; 0 = it lives on
  int status_fd = -1;    // inherited as fd 3; -1 = none
};

// Its pid. Errors: kConfig (no such program, no such log folder).
Result<pid_t> Spawn(const ChildSpec& spec);

// This program's own path.
std::string OwnProgram();
// A program that is installed beside this one, else by that name in PATH. Errors: kConfig.
Result<std::string> FindProgram(const std::string& name);

}  // namespace weir
