#pragma once

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <ctime>
#include <map>
#include <memory>
#include <vector>

#include "tests/faults/fault_fixture.h"
#include "tests/support/clock/wrong_clock.h"

namespace weir::faults {

using std::chrono::hours;
using weir::testing::WrongClock;

inline constexpr int kTwoDays = 48;

// Programs with wall clocks of their own.
class ApacheKafkaClock : public FaultTest {
 protected:
  // What is started from here on has a clock of its own.
  WrongClock& NewClock() {
    clocks_.push_back(std::make_unique<WrongClock>(fmt::format("{}/clock{}", dir_, clocks_.size())));
    process::SpawnOptions options;
    clocks_.back()->GiveTo(options);
    for (const auto& [name, value] : options.env) env_[name] = value;
    return *clocks_.back();
  }
  // That it is as wrong as it was set to, by what the process logs.
  static void ExpectDay(const Process& process, hours off) {
    const auto then = std::chrono::system_clock::now() + off;
    const std::time_t seconds = std::chrono::system_clock::to_time_t(then);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    EXPECT_THAT(process.Err(), ::testing::HasSubstr(fmt::format("{:04}-{:02}-{:02}T", utc.tm_year + 1900,
                                                                utc.tm_mon + 1, utc.tm_mday)));
  }
  std::vector<std::unique_ptr<WrongClock>> clocks_;
  std::map<std::size_t, int> at_;  // where each of them stands, in hours
};

}  // namespace weir::faults
