#include "worker/start_pages.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace weir::worker {
namespace {

// Of this process, in bytes, as proc(5) has it.
std::size_t StatusBytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field + ":", 0) == 0)
      return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10) << 10;
  }
  return 0;
}

// Written at run time, in a mapping of the program's file.
std::string kept = "before";

TEST(StartPagesTest, MappedFilesAreGivenBackAndWhatWasWrittenStays) {
  kept += " and after";
  const std::size_t before = StatusBytes("RssFile");
  const std::size_t anonymous = StatusBytes("RssAnon");
  ASSERT_GT(before, 1U << 20);
  EXPECT_GT(ForgetStartPages(), 1U << 20);
  EXPECT_LT(StatusBytes("RssFile"), before / 2 + before / 4);
  EXPECT_GE(StatusBytes("RssAnon") + (64 << 10), anonymous);
  EXPECT_EQ(kept, "before and after");
}

}  // namespace
}  // namespace weir::worker
