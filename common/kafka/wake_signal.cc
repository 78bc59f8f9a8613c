#include "common/kafka/wake_signal.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

namespace weir::kafka {

WakeSignal::WakeSignal() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

WakeSignal::~WakeSignal() {
  if (fd_ >= 0) close(fd_);
}

void WakeSignal::Raise() const {
  // Fails only when the counter is full, and then it is raised already.
  [[maybe_unused]] const auto written = write(fd_, &kOne, sizeof(kOne));
}

void WakeSignal::Wait(std::chrono::milliseconds timeout) const {
  pollfd waited{fd_, POLLIN, 0};
  const auto ms = std::clamp<std::int64_t>(timeout.count(), 0, std::numeric_limits<int>::max());
  poll(&waited, 1, static_cast<int>(ms));
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(fd_, &count, sizeof(count));
}

}  // namespace weir::kafka
