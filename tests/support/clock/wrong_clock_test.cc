#include "tests/support/clock/wrong_clock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>

namespace weir::testing {
namespace {

constexpr std::chrono::hours kTwoDays{48};

class WrongClockTest : public ::testing::Test {
 protected:
  // What a program of this machine says under the clock.
  std::string Say(const std::vector<std::string>& argv) const {
    process::SpawnOptions options;
    options.argv = argv;
    clock_.GiveTo(options);
    const auto result = process::RunToEnd(options, process::Millis(20'000));
    EXPECT_TRUE(result) << result.error().message;
    EXPECT_EQ(result ? result->exit.code : -1, 0);
    return result ? result->out : "";
  }
  const std::string file_ =
      (std::filesystem::temp_directory_path() / ("weir-clock-" + std::to_string(getpid()))).string();
  WrongClock clock_{file_};
  void TearDown() override { std::filesystem::remove(file_); }
};

// time(2) tells the time of the last tick, milliseconds ago, which can be another second.
std::time_t Now() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

TEST_F(WrongClockTest, IsTheProgramsAndNobodyElses) {
  for (const int sign : {0, 1, -1}) {
    clock_.Set(sign * kTwoDays);
    const std::time_t before = Now();
    const std::time_t told = std::stol(Say({"date", "+%s"}));
    const std::time_t after = Now();
    const std::time_t off = sign * std::chrono::seconds(kTwoDays).count();
    EXPECT_LE(before + off, told);
    EXPECT_GE(after + off, told);
  }
}

// It goes back while a program waits for a time of it, which then lies two days ahead; it goes forward, and
// that time is over.
TEST_F(WrongClockTest, WhoWaitsForATimeOfItWaitsUntilThen) {
  process::SpawnOptions options;
  options.argv = {"python3", "-u", "-c",
                  "import ctypes, time\n"
                  "c = ctypes.CDLL(None, use_errno=True)\n"
                  "class Time(ctypes.Structure): _fields_ = [('s', ctypes.c_long), ('ns', ctypes.c_long)]\n"
                  "m, v, t = (ctypes.create_string_buffer(64) for _ in range(3))\n"
                  "until = Time(int(time.time()) + 3600, 0)\n"
                  "c.pthread_mutex_lock(m)\n"
                  "print('waits')\n"
                  "while c.pthread_cond_timedwait(v, m, ctypes.byref(until)) == 0: pass\n"
                  "print('over')\n"};
  clock_.GiveTo(options);
  auto waiting = process::Process::Spawn(options);
  ASSERT_TRUE(waiting) << waiting.error().message;
  ASSERT_TRUE((*waiting)->WaitForOut("waits", process::Millis(20'000)));
  EXPECT_TRUE((*waiting)->Running());
  clock_.Set(kTwoDays);
  EXPECT_TRUE((*waiting)->WaitForOut("over", process::Millis(20'000)));
}

}  // namespace
}  // namespace weir::testing
