#include "producer/embedded/log_bound.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace weir {
namespace {

class LogBoundTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  static std::string Text(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const std::filesystem::path dir_ =
      std::filesystem::temp_directory_path() / ("weir-log-" + std::to_string(getpid()));
  const std::string log_ = (dir_ / "worker.log").string();
};

TEST_F(LogBoundTest, ItsProgramWritesOnInTheSameFile) {
  const int fd = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ASSERT_EQ(write(fd, "first\n", 6), 6);
  BoundLog(log_, 6);
  EXPECT_EQ(Text(log_), "first\n") << "it is no larger than it may be";
  ASSERT_EQ(write(fd, "second\n", 7), 7);
  BoundLog(log_, 6);
  EXPECT_EQ(Text(log_), "");
  EXPECT_EQ(Text(log_ + ".1"), "first\nsecond\n");
  ASSERT_EQ(write(fd, "the third\n", 10), 10);
  BoundLog(log_, 6);
  EXPECT_EQ(Text(log_ + ".1"), "the third\n") << "one copy is kept, the newest";
  ASSERT_EQ(write(fd, "x\n", 2), 2);
  EXPECT_EQ(Text(log_), "x\n") << "from the beginning, without a hole";
  close(fd);
}

TEST_F(LogBoundTest, WithoutACopyItIsCutAllTheSame) {
  std::ofstream(log_) << "much\n";
  std::filesystem::create_directories(log_ + ".1/in-the-way");
  BoundLog(log_, 1);
  EXPECT_EQ(Text(log_), "");
}

TEST_F(LogBoundTest, WhatIsNoFileIsLeftAlone) {
  BoundLog(log_, 0);
  EXPECT_FALSE(std::filesystem::exists(log_ + ".1"));
  ASSERT_EQ(mkfifo(log_.c_str(), 0600), 0);
  BoundLog(log_, 0);  // and is not waited for
}

}  // namespace
}  // namespace weir
