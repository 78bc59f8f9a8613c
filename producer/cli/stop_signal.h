#pragma once

#include <chrono>

namespace weir::cli {

// SIGINT and SIGTERM as a flag that can be waited for. The first signal sets it; the second ends the process
// as it would have without us, so that a hanging drain can be cut short.
class StopSignal {
 public:
  virtual ~StopSignal() = default;
  // The signal that came, 0 = none.
  virtual int Received() const = 0;
  // Waits until one came or `timeout` is over; true = one came.
  virtual bool WaitFor(std::chrono::milliseconds timeout) = 0;
  // 128 + signal, 0 when none came.
  int ExitCode() const { return Received() == 0 ? 0 : 128 + Received(); }
};

// The process's; installs its handlers when first called.
StopSignal& ProcessStopSignal();

}  // namespace weir::cli
