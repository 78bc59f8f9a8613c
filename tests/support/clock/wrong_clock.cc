#include "tests/support/clock/wrong_clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>

namespace weir::testing {

WrongClock::WrongClock(const std::string& file) : file_(file) {
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool sized = fd >= 0 && ftruncate(fd, sizeof(std::int64_t)) == 0;
  void* at =
      sized ? mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  if (fd >= 0) close(fd);
  if (at == MAP_FAILED) throw std::runtime_error("cannot map " + file);
  off_ = static_cast<std::atomic<std::int64_t>*>(at);
}

WrongClock::~WrongClock() { munmap(off_, sizeof(std::int64_t)); }

void WrongClock::GiveTo(process::SpawnOptions& options) const {
  options.env["LD_PRELOAD"] = WEIR_WRONG_CLOCK;
  options.env["WEIR_WRONG_CLOCK_FILE"] = file_;
}

void WrongClock::Set(std::chrono::hours off) { off_->store(std::chrono::nanoseconds(off).count()); }

}  // namespace weir::testing
