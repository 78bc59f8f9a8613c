#include "producer/embedded/file_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "producer/embedded/endpoints.h"
#include "producer/embedded/local_workers.h"

namespace weir {
namespace {

class FileLockTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // A process that holds a byte until it is killed.
  pid_t User() {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      auto lock = FileLock::TryAsUser(path_);
      const char byte = lock && *lock ? 1 : 0;
      if (write(ready[1], &byte, 1) == 1) pause();
      _exit(0);
    }
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    EXPECT_EQ(byte, 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
  }
  static void Kill(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }

  const std::filesystem::path dir_ =
      std::filesystem::temp_directory_path() / ("weir-lock-" + std::to_string(getpid()));
  const std::string path_ = (dir_ / "users.lock").string();
};

TEST_F(FileLockTest, UsersAreKnownByTheirPidsAndGoWithTheirProcess) {
  EXPECT_TRUE(LockUsers(path_).empty());
  const pid_t first = User(), second = User();
  auto own = FileLock::TryAsUser(path_);
  ASSERT_TRUE(own && *own);
  std::vector<pid_t> expected{getpid(), first, second};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(LockUsers(path_), expected);
  EXPECT_FALSE(FileLock::TryAll(path_)->has_value());
  Kill(first);
  Kill(second);
  EXPECT_EQ(LockUsers(path_), std::vector<pid_t>{getpid()});
  own->reset();
  EXPECT_TRUE(FileLock::TryAll(path_)->has_value());
}

TEST_F(FileLockTest, WhoHoldsAllLetsNobodyIn) {
  auto all = FileLock::TryAll(path_);
  ASSERT_TRUE(all && *all);
  EXPECT_TRUE(IsLocked(path_));
  EXPECT_FALSE(FileLock::TryAsUser(path_)->has_value());
  all->reset();
  EXPECT_FALSE(IsLocked(path_));
  EXPECT_TRUE(FileLock::TryAsUser(path_)->has_value());
}

TEST_F(FileLockTest, TwoUsesInOneProcessAreTwo) {
  auto first = FileLock::TryAsUser(path_), second = FileLock::TryAsUser(path_);
  ASSERT_TRUE(*first && *second);
  EXPECT_EQ(LockUsers(path_), (std::vector<pid_t>{getpid(), getpid()}));
}

TEST_F(FileLockTest, AFolderThatIsNotThereIsAnError) {
  EXPECT_EQ(FileLock::TryAll("/nonexistent/lock").error().error_class, ErrorClass::kConfig);
}

TEST_F(FileLockTest, EndpointsReadAsTheyWereWritten) {
  const std::string file = (dir_ / "endpoints.json").string();
  EXPECT_FALSE(ReadEndpoints(file));
  Endpoints endpoints{42, "host=/a dbname=weir", "file:/b", "no initdb", "install it"};
  ASSERT_TRUE(WriteEndpoints(file, endpoints));
  EXPECT_EQ(ReadEndpoints(file), endpoints);
}

TEST(RestartPolicyTest, TenKillsInARowAreBorne) {
  RestartPolicy policy;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(policy.AfterDeath(std::chrono::milliseconds(500)));
}

TEST(RestartPolicyTest, WhatDiesAtOnceAgainAndAgainIsGivenUp) {
  RestartPolicy policy;
  std::chrono::milliseconds total{0};
  int starts = 0;
  while (auto delay = policy.AfterDeath(std::chrono::milliseconds(10))) {
    total += *delay;
    ASSERT_LE(*delay, std::chrono::seconds(5));
    ASSERT_LT(++starts, 100);
  }
  EXPECT_EQ(starts, RestartPolicy::kMostInARow);
  EXPECT_GT(total, std::chrono::seconds(30));
}

TEST(RestartPolicyTest, AHealthyLifeStartsTheCountAnew) {
  RestartPolicy policy;
  for (int i = 0; i < 100; ++i) {
    auto delay = policy.AfterDeath(RestartPolicy::kHealthyLife);
    ASSERT_TRUE(delay);
    EXPECT_EQ(*delay, std::chrono::milliseconds(0));
  }
}

}  // namespace
}  // namespace weir
