#include "producer/cli/stop_signal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace weir::cli {
namespace {

static_assert(std::atomic<int>::is_always_lock_free);
std::atomic<int> received{0};
int wake_pipe[2] = {-1, -1};

void OnSignal(int signal) {
  const int saved = errno;
  received.store(signal);
  const char byte = 0;
  // A full pipe wakes as well: the result does not matter.
  if (write(wake_pipe[1], &byte, 1) < 0) errno = 0;
  errno = saved;
}

class ProcessSignal final : public StopSignal {
 public:
  ProcessSignal() {
    if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return;
    struct sigaction action {};
    action.sa_handler = OnSignal;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
  }
  int Received() const override { return received.load(); }
  bool WaitFor(std::chrono::milliseconds timeout) override {
    // The byte is left in the pipe: the flag stays set, and so every waiter wakes.
    pollfd wait{wake_pipe[0], POLLIN, 0};
    if (Received() == 0) poll(&wait, 1, static_cast<int>(timeout.count()));
    return Received() != 0;
  }
};

}  // namespace

StopSignal& ProcessStopSignal() {
  static ProcessSignal signal;
  return signal;
}

}  // namespace weir::cli
