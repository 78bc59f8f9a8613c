#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace weir::pg {

// Whom a server runs as. PostgreSQL refuses to run as root.
struct Identity {
  std::string user;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;

  // The user `postgres` for root, else the caller. Errors: kConfig (no such user).
  static Result<Identity> OfServer();
  // The first folder of `path` that this user may not enter; "" if it can reach it.
  std::string FirstUnreachable(const std::string& path) const;
};

// A program in a session of its own (the terminal's Ctrl-C is not for it), in folder /, with a minimal
// environment, no open files of ours, no signal ignored or blocked, and its output appended to a file.
struct ChildProcess {
  std::vector<std::string> argv;  // argv[0] is the program's absolute path
  Identity identity;
  std::string output_file;
  int inherit_fd = -1;          // kept open in it (as 3): what it locks stays locked while it lives
  int parent_death_signal = 0;  // sent when the thread that spawned it ends; 0 = it lives on

  Result<pid_t> Spawn() const;
};

// Waits until the process is gone, whoever its parent is; reaps it if that is us. Its wait status, -1 if it
// is another's child; nullopt = still there after `timeout`.
std::optional<int> WaitExit(pid_t pid, std::chrono::milliseconds timeout);

}  // namespace weir::pg
