#include "common/base/backoff.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::milliseconds;

TEST(BackoffTest, DoublesUpToTheMaximumAndStaysWithinItsJitter) {
  Backoff backoff(milliseconds(1000), milliseconds(60'000), 7);
  for (int n = 1; n <= 12; ++n) {
    const std::int64_t ceiling = std::min<std::int64_t>(60'000, 1000LL << (n - 1));
    const auto wait = backoff.Wait(n).count();
    EXPECT_GE(wait, ceiling / 2) << n;
    EXPECT_LE(wait, ceiling) << n;
  }
  EXPECT_LE(backoff.Wait(1'000'000).count(), 60'000);
}

}  // namespace
}  // namespace weir
