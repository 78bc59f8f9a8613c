#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/result.h"

namespace weir::process {

using Millis = std::chrono::milliseconds;

struct SpawnOptions {
  std::vector<std::string> argv;           // argv[0]: a path, or a name looked up in PATH
  std::map<std::string, std::string> env;  // over the caller's; an empty value removes the variable
  bool clean_env = false;                  // start from nothing but PATH and HOME
  std::string cwd;                         // "" = the caller's
  std::string input;                       // all of its stdin
  bool own_group = false;                  // in a process group of its own, for SignalGroup
};

// How a program ended.
struct Exit {
  int code = -1;   // of exit(); -1 if a signal ended it
  int signal = 0;  // 0 if it exited by itself
};

// A program run by a test, with its output as it comes. It dies with the thread that spawned it
// (PR_SET_PDEATHSIG), and is killed and reaped by the destructor: no test leaves one behind. All waits wait
// for the event, with a deadline. Thread-safe.
class Process {
 public:
  // Errors: kConfig (cannot be executed).
  static Result<std::unique_ptr<Process>> Spawn(const SpawnOptions& options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // What has been written so far. At most the last 16 MiB of each are kept.
  std::string Out() const;
  std::string Err() const;

  // Waits until the output satisfies the condition (looked at after each piece) or has ended without.
  using OutputCondition = std::function<bool(const std::string& out, const std::string& err)>;
  bool WaitForOutput(const OutputCondition& condition, Millis deadline) const;
  bool WaitForOut(std::string_view text, Millis deadline) const;  // stdout contains it
  bool WaitForErr(std::string_view text, Millis deadline) const;
  // The rest of the first stdout line that begins with `prefix`, e.g. "listening ".
  std::optional<std::string> WaitForLine(std::string_view prefix, Millis deadline) const;

  // Its end, with all of its output read; nullopt if it still runs at the deadline.
  std::optional<Exit> Wait(Millis deadline);
  bool Running() const;
  // By pid, and only while it has not been reaped. False if it has.
  bool Signal(int signal_number);
  bool SignalGroup(int signal_number);  // with own_group
  bool Kill() { return Signal(SIGKILL); }

 private:
  Process(pid_t pid, int out, int err, int in, std::string input, bool own_group);
  void Pump();  // reads both pipes to their end, feeds stdin, then reaps
  void Append(std::string& to, std::string_view bytes);

  const pid_t pid_;
  const bool own_group_;
  int out_fd_, err_fd_, in_fd_, wake_fd_;
  std::string input_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  std::string out_, err_;
  std::optional<Exit> exit_;
  std::thread reader_;
};

struct RunResult {
  Exit exit;
  std::string out, err;
};
// Runs to the end. Errors: kConfig, kTransient (deadline: it was killed; the message has its output's end).
Result<RunResult> RunToEnd(const SpawnOptions& options, Millis deadline);

// For what tells nobody of its change (a row in a database): looks again every 10 ms until true or the
// deadline.
bool WaitUntil(const std::function<bool()>& condition, Millis deadline);

}  // namespace weir::process
