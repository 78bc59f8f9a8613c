#pragma once

#include <string>

#include "common/base/result.h"
#include "common/ledger/failures.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace weir::cli {

// The options that choose dead tasks, the same for `failures list` and `replay`.
struct FailureFlags {
  std::string job, task, error_class, source, account, since, until;

  // All but the job and the task.
  void Declare(CLI::App& app);
  // Errors: kConfig.
  Result<ledger::FailureFilter> Filter() const;
  // Anything but the job was said.
  bool Any() const;
};

}  // namespace weir::cli
