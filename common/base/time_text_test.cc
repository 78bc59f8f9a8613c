#include "common/base/time_text.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::milliseconds;

TEST(TimeTextTest, FormatsAndParsesTheSameInstant) {
  EXPECT_EQ(FormatTime(1'783'377'244'194), "2026-07-06T22:34:04.194Z");
  EXPECT_EQ(ParseTime("2026-07-06T22:34:04.194Z"), 1'783'377'244'194);
  EXPECT_EQ(ParseTime("2026-07-07T00:34:04.194+02:00"), 1'783'377'244'194);
  EXPECT_EQ(ParseTime("1970-01-02"), 86'400'000);
}

TEST(TimeTextTest, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "yesterday", "2026-13-01", "2026-02-30", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00+9"}) {
    EXPECT_FALSE(ParseTime(text)) << text;
  }
}

TEST(TimeTextTest, DurationsHaveUnitsAndABareNumberIsSeconds) {
  EXPECT_EQ(ParseDuration("1500ms"), milliseconds(1500));
  EXPECT_EQ(ParseDuration("9m"), milliseconds(540'000));
  EXPECT_EQ(ParseDuration("540"), milliseconds(540'000));
  EXPECT_FALSE(ParseDuration("-1s"));
  EXPECT_FALSE(ParseDuration("1w"));
  EXPECT_FALSE(ParseDuration("99999999999999999d"));
  EXPECT_EQ(FormatDuration(milliseconds(192'000)), "3m12s");
}

}  // namespace
}  // namespace weir
