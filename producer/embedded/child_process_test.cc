#include "producer/embedded/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ChildProcessTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(output_); }
  // What a shell prints.
  std::string Run(const std::string& script, bool detached = false) {
    ChildSpec spec;
    spec.argv = {"/bin/sh", "-c", script};
    spec.environment = {{"WEIR_ADDED", "added"}};
    spec.output_file = output_;
    spec.detached = detached;
    const auto pid = Spawn(spec);
    EXPECT_TRUE(pid) << pid.error().message;
    if (!pid) return {};
    int status = -1;
    EXPECT_EQ(waitpid(*pid, &status, 0), *pid);
    EXPECT_EQ(status, 0);
    std::ifstream in(output_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const std::string output_ = testing::TempDir() + "weir_child_" + std::to_string(getpid());
};

TEST_F(ChildProcessTest, OneThatOutlivesUsHasNoneOfOurSettingsAndSecrets) {
  setenv("WEIR_ENCRYPTION_KEY", "hidden", 1);
  setenv("CRM_TOKEN", "hidden", 1);
  setenv("LC_TIME", "C", 1);
  const std::string script = "pwd; env";
  const std::string detached = Run(script, true);
  EXPECT_THAT(detached, testing::StartsWith("/\n"));
  EXPECT_THAT(detached, Not(HasSubstr("hidden")));
  for (const char* kept : {"\nPATH=", "\nLC_TIME=C", "\nWEIR_ADDED=added"})
    EXPECT_THAT(detached, HasSubstr(kept));
  std::filesystem::remove(output_);
  const std::string own = Run(script);
  EXPECT_THAT(own, testing::StartsWith(std::filesystem::current_path().string() + "\n"));
  EXPECT_THAT(own, HasSubstr("\nCRM_TOKEN=hidden")) << "a worker reads its accounts' tokens there";
  unsetenv("WEIR_ENCRYPTION_KEY");
  unsetenv("CRM_TOKEN");
  unsetenv("LC_TIME");
}

// As `env --ignore-signal` and `nohup` leave them.
TEST_F(ChildProcessTest, NoSignalIsIgnoredOrBlockedInIt) {
  const auto before = signal(SIGCHLD, SIG_IGN);
  signal(SIGUSR1, SIG_IGN);
  sigset_t blocked, mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &mask);
  ChildSpec spec;
  spec.argv = {"/bin/grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"};
  spec.output_file = output_;
  const auto pid = Spawn(spec);
  signal(SIGCHLD, before);
  signal(SIGUSR1, SIG_DFL);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  ASSERT_TRUE(pid) << pid.error().message;
  waitpid(*pid, nullptr, 0);
  std::ifstream in(output_);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(ChildProcessTest, AProgramThatIsNotThereIsSaid) {
  ChildSpec spec;
  spec.argv = {"/nonexistent/program"};
  spec.output_file = output_;
  const auto pid = Spawn(spec);
  ASSERT_FALSE(pid);
  EXPECT_THAT(pid.error().message, HasSubstr("cannot start /nonexistent/program: No such file"));
}

}  // namespace
}  // namespace weir
