// Goodput and 429s by simulation, for kinds of limits and headers, 1 to 64 lanes and 1 to 8 workers. Every
// case is deterministic; `weir-limit-bench --all` prints them.
#include "worker/limiter_simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

namespace weir::worker {
namespace {

using std::chrono::milliseconds;
using Limit = SimulatedCase::Limit;
using Headers = SimulatedCase::Headers;

constexpr Limit kLimits[] = {Limit::kFixedWindow, Limit::kSlidingLog, Limit::kSlidingCounters,
                             Limit::kTokenBucket};
constexpr Headers kHeaders[] = {Headers::kNone, Headers::kMaxInterval, Headers::kResetDelta,
                                Headers::kResetEpoch, Headers::kDraft};
struct Size {
  int lanes, workers, latency_ms;
};
constexpr Size kSizes[] = {{1, 1, 20},   {1, 1, 400},  {4, 1, 100},  {4, 4, 50},
                           {16, 2, 100}, {16, 8, 200}, {64, 1, 100}, {64, 8, 400}};
struct Rate {
  std::int64_t requests;
  milliseconds window;
};
constexpr Rate kRates[] = {{50, milliseconds(1'000)}, {100, milliseconds(10'000)}};

template <class Check>
void ForAll(bool known, const Check& check) {
  for (const Limit limit : kLimits) {
    for (const Headers headers : kHeaders) {
      for (const Size& size : kSizes) {
        for (const Rate& rate : kRates) {
          SimulatedCase one;
          one.limit = limit;
          one.headers = headers;
          one.retry_after = headers == Headers::kDraft;
          one.quota_known = known;
          one.requests = rate.requests;
          one.window = rate.window;
          one.lanes = size.lanes;
          one.workers = size.workers;
          one.latency = milliseconds(size.latency_ms);
          one.warm_up = milliseconds(known ? 0 : 60'000);
          check(one, Simulate(one));
        }
      }
    }
  }
}

// Clocks 50 ms off, on windows of one second that are counted by the older one's part: some requests of many
// workers come too close together whatever each of them does.
bool IsHardest(const SimulatedCase& one) {
  return one.limit == Limit::kSlidingCounters && one.window == milliseconds(1'000) && one.workers > 1;
}

TEST(LimiterSimulation, AKnownQuotaIsUsedAndNotOverrun) {
  ForAll(true, [](const SimulatedCase& one, const SimulatedResult& result) {
    EXPECT_GE(result.goodput, IsHardest(one) ? 0.95 : 0.97) << one.Name();
    EXPECT_LE(result.refused, IsHardest(one) ? 0.005 : 0.001) << one.Name();
  });
}

// After a minute. Means, since a rate that is still being looked for is not the same at any time.
TEST(LimiterSimulation, AnUnknownQuotaIsLearnt) {
  std::map<Headers, double> goodput;
  std::map<Headers, int> cases;
  std::string worst;
  double least = 1;
  ForAll(false, [&](const SimulatedCase& one, const SimulatedResult& result) {
    goodput[one.headers] += std::min(1.0, result.goodput);
    ++cases[one.headers];
    if (result.goodput < least) {
      least = result.goodput;
      worst = one.Name();
    }
  });
  const std::map<Headers, double> expected{{Headers::kNone, 0.95},
                                           {Headers::kMaxInterval, 0.95},
                                           {Headers::kResetDelta, 0.9},
                                           {Headers::kResetEpoch, 0.9},
                                           {Headers::kDraft, 0.95}};
  for (const auto& [headers, sum] : goodput) {
    EXPECT_GE(sum / cases[headers], expected.at(headers)) << NameOf(headers);
  }
  EXPECT_GE(least, 0.6) << worst;
}

TEST(LimiterSimulation, AKnownQuotaIsKeptWhileOthersUseAPartOfTheLimit) {
  for (const Limit limit : {Limit::kSlidingLog, Limit::kFixedWindow}) {
    SimulatedCase one{
        .limit = limit, .headers = Headers::kMaxInterval, .requests = 100, .window = milliseconds(10'000)};
    one.others = 0.3;
    one.warm_up = milliseconds(60'000);
    one.time = milliseconds(120'000);
    const SimulatedResult result = Simulate(one);
    EXPECT_GE(result.goodput, 0.9) << one.Name();
    EXPECT_LE(result.refused, 0.05) << one.Name();
  }
}

}  // namespace
}  // namespace weir::worker
