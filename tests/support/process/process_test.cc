#include "tests/support/process/process.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace weir::process {
namespace {

using namespace std::chrono_literals;

SpawnOptions Shell(const std::string& script) {
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", script};
  return options;
}

TEST(ProcessTest, CapturesBothOutputsAndTheExitCode) {
  const auto result = RunToEnd(Shell("echo out; echo err >&2; exit 3"), 20s);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->exit.code, 3);
  EXPECT_EQ(result->exit.signal, 0);
}

TEST(ProcessTest, PassesEnvironmentFolderAndInput) {
  ::setenv("WEIR_TEST_GONE", "x", 1);
  SpawnOptions options = Shell("echo \"$A|$WEIR_TEST_GONE|$(pwd)\"; cat");
  options.env = {{"A", "1 2"}, {"WEIR_TEST_GONE", ""}};
  options.cwd = "/";
  options.input = std::string(300'000, 'i');
  const auto result = RunToEnd(options, 20s);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->out, "1 2||/\n" + options.input);
}

TEST(ProcessTest, CleanEnvironmentHoldsOnlyWhatIsGiven) {
  SpawnOptions options = Shell("env | grep -v -e ^PWD -e ^_ -e ^SHLVL | cut -d= -f1 | sort | tr '\\n' ' '");
  options.clean_env = true;
  options.env = {{"ONLY", "1"}};
  ::setenv("HOME", "/root", 0);
  const auto result = RunToEnd(options, 20s);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->out, "HOME ONLY PATH ");
}

TEST(ProcessTest, WaitsForALineWhileTheProgramGoesOn) {
  auto process = Process::Spawn(Shell("echo starting; echo 'listening here'; exec sleep 1000"));
  ASSERT_TRUE(process);
  EXPECT_EQ((*process)->WaitForLine("listening ", 20s), "here");
  EXPECT_TRUE((*process)->Running());
  EXPECT_FALSE((*process)->Wait(0ms));
}

TEST(ProcessTest, WaitForOutputEndsWithTheProgram) {
  auto process = Process::Spawn(Shell("echo something else"));
  ASSERT_TRUE(process);
  EXPECT_FALSE((*process)->WaitForOut("never", 60s));
  EXPECT_FALSE((*process)->Running());
}

TEST(ProcessTest, KillIsSeenAndLaterSignalsGoNowhere) {
  auto process = Process::Spawn(Shell("exec sleep 1000"));
  ASSERT_TRUE(process);
  EXPECT_TRUE((*process)->Kill());
  const auto exit = (*process)->Wait(20s);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_EQ(exit->code, -1);
  EXPECT_FALSE((*process)->Signal(SIGTERM));
}

TEST(ProcessTest, AGrandchildThatHoldsThePipesDoesNotDelayTheEnd) {
  SpawnOptions options = Shell("sleep 1000 & echo started");
  options.own_group = true;
  auto process = Process::Spawn(options);
  ASSERT_TRUE(process);
  const auto exit = (*process)->Wait(20s);
  ASSERT_TRUE(exit);
  EXPECT_EQ((*process)->Out(), "started\n");
  ::kill(-(*process)->pid(), SIGKILL);  // the group outlives its leader
}

TEST(ProcessTest, DestructorLeavesNothingBehind) {
  pid_t pid = 0;
  {
    auto process = Process::Spawn(Shell("exec sleep 1000"));
    ASSERT_TRUE(process);
    pid = (*process)->pid();
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST(ProcessTest, AProgramThatIsNotThereIsAnError) {
  SpawnOptions options;
  options.argv = {"/nonexistent/program"};
  const auto process = Process::Spawn(options);
  ASSERT_FALSE(process);
  EXPECT_NE(process.error().message.find("No such file"), std::string::npos);
}

TEST(ProcessTest, DeadlineOfRunKillsAndSaysWhatWasSaid) {
  const auto result = RunToEnd(Shell("echo stuck >&2; exec sleep 1000"), 300ms);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("stuck"), std::string::npos) << result.error().message;
}

}  // namespace
}  // namespace weir::process
