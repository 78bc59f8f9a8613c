#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "tests/support/process/process.h"

namespace weir::testing {

// A wall clock of the programs that are started with it (preload.cc), which a test sets while they run, as
// someone sets a machine's clock. Their other clocks, and everyone else's, go on as they are.
class WrongClock {
 public:
  // `file` is made, and is to be on a file system that can be mapped.
  explicit WrongClock(const std::string& file);
  ~WrongClock();
  WrongClock(const WrongClock&) = delete;
  WrongClock& operator=(const WrongClock&) = delete;

  void GiveTo(process::SpawnOptions& options) const;
  // From now on it is off by so much; at first by nothing. Any thread.
  void Set(std::chrono::hours off);

 private:
  const std::string file_;
  std::atomic<std::int64_t>* off_ = nullptr;
};

}  // namespace weir::testing
