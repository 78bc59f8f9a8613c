#include "common/obs/log_limiter.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::milliseconds;

class LogLimiterTest : public ::testing::Test {
 protected:
  int Written(std::string_view message, int times, milliseconds now) {
    int written = 0;
    for (int i = 0; i < times; ++i) written += limiter_.Admit(message, now) ? 1 : 0;
    return written;
  }

  LogLimiter limiter_{{.lines = 3, .window = milliseconds(100), .messages = 4}};
};

TEST_F(LogLimiterTest, OfOneMessageSoManyLinesPassInAWindow) {
  EXPECT_EQ(Written("a claim failed", 1'000, milliseconds(0)), 3);
  EXPECT_EQ(Written("a page failed", 2, milliseconds(0)), 2) << "another message has its own lines";
  EXPECT_TRUE(limiter_.TakeRepeated(milliseconds(99)).empty());
  const auto repeated = limiter_.TakeRepeated(milliseconds(100));
  ASSERT_EQ(repeated.size(), 1u);
  EXPECT_EQ(repeated[0].message, "a claim failed");
  EXPECT_EQ(repeated[0].times, 997);
  EXPECT_TRUE(limiter_.TakeRepeated(milliseconds(100)).empty()) << "each is told once";
  EXPECT_EQ(Written("a claim failed", 5, milliseconds(100)), 3) << "a new window";
}

TEST_F(LogLimiterTest, LinesHeldBackAreNotForgottenByALaterOne) {
  EXPECT_EQ(Written("x", 5, milliseconds(0)), 3);
  EXPECT_EQ(Written("x", 1, milliseconds(500)), 0) << "the window before is still to be told of";
  EXPECT_EQ(limiter_.TakeRepeated(milliseconds(500))[0].times, 3);
}

TEST_F(LogLimiterTest, MessagesWithoutEndCountAsOne) {
  int written = 0;
  for (int i = 0; i < 1'000; ++i)
    written += limiter_.Admit("text " + std::to_string(i), milliseconds(0)) ? 1 : 0;
  EXPECT_EQ(written, 4 + 3) << "four of their own, then three for all others";
  const auto repeated = limiter_.TakeRepeated(milliseconds(100));
  ASSERT_EQ(repeated.size(), 1u);
  EXPECT_EQ(repeated[0].times, 1'000 - 7);
}

}  // namespace
}  // namespace weir
