// The fuzz targets without a fuzzer: every seed, and a few thousand changes of them, always the same.
#include <gtest/gtest.h>

#include "tests/fuzz/mutate.h"
#include "tests/fuzz/targets.h"

namespace weir::fuzz {
namespace {

constexpr int kChanges = 4'000;  // a target

class FuzzSeeds : public ::testing::TestWithParam<Target> {};

TEST_P(FuzzSeeds, NoSeedBreaksAPromise) {
  const auto seeds = SeedsOf(GetParam().name);
  ASSERT_FALSE(seeds.empty()) << "no seeds of " << GetParam().name;
  for (const auto& [name, text] : seeds) EXPECT_EQ(GetParam().run(text), "") << name;
  EXPECT_EQ(GetParam().run(""), "");
}

TEST_P(FuzzSeeds, NoChangedSeedBreaksAPromise) {
  const auto seeds = SeedsOf(GetParam().name);
  ASSERT_FALSE(seeds.empty());
  std::mt19937_64 random(1);
  for (int i = 0; i < kChanges; ++i) {
    const std::string& text = seeds[random() % seeds.size()].second;
    const std::string changed = Mutate(text, seeds[random() % seeds.size()].second, random);
    ASSERT_EQ(GetParam().run(changed), "") << "change " << i << ": " << ::testing::PrintToString(changed);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzSeeds, ::testing::ValuesIn(Targets()),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace weir::fuzz
