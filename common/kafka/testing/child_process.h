#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace weir::kafka::testing {

// A run of kafka_test_process (it lies beside the test's own program), which a test kills, stops and resumes.
// It ends with its parent.
class ChildProcess {
 public:
  explicit ChildProcess(std::vector<std::string> arguments);
  ~ChildProcess();  // SIGKILL
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The next line of its output; "" when `deadline` passes or it ends first.
  std::string NextLine(std::chrono::steady_clock::time_point deadline);
  // Reads lines until one satisfies `wanted`, and returns it; "" as above.
  std::string LineWhere(const std::function<bool(const std::string&)>& wanted,
                        std::chrono::steady_clock::time_point deadline);
  void Signal(int signal) const;
  // Asks it to end in order (closes its input) and waits for that; its exit code, -1 if it was killed.
  int Finish();

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  std::string buffer_;  // read, not yet a whole line
};

}  // namespace weir::kafka::testing
