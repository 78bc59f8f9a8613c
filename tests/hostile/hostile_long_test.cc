// Two thousand seeds, two hundred a case.
#include "tests/hostile/hostile_fixture.h"

namespace weir::testing {
namespace {

class HostileLong : public HostileTest, public ::testing::WithParamInterface<int> {};

TEST_P(HostileLong, EveryRecordIsAccountedFor) {
  const auto first = static_cast<std::uint64_t>(GetParam()) * 200 + 1;
  RunSeeds(first, first + 199);
}

INSTANTIATE_TEST_SUITE_P(Seeds, HostileLong, ::testing::Range(0, 10));

}  // namespace
}  // namespace weir::testing
