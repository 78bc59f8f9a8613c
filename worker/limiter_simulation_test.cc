// Goodput and 429s by simulation, for kinds of limits and headers, 1 to 64 lanes and 1 to 8 workers. Every
// case is deterministic; `weir-limit-bench --all` prints them.
#include "worker/limiter_simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

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

TEST(LimiterSimulation, AKnownQuotaIsUsedAndNotOverrun) {
  ForAll(true, [](const SimulatedCase& one, const SimulatedResult& result) {
    EXPECT_GE(result.goodput, 0.97) << one.Name();
    EXPECT_LE(result.refused, 0.001) << one.Name();
  });
}

// Clocks 50 ms off, on windows of one second that are counted by the older one's part: some requests of many
// workers come too close together, until their lanes have moved.
TEST(LimiterSimulation, WorkersWhoseClocksDifferLoseLittle) {
  for (const bool retry_after : {false, true}) {
    SimulatedCase one{
        .limit = Limit::kSlidingCounters, .retry_after = retry_after, .lanes = 16, .workers = 8};
    one.clocks_off = milliseconds(50);
    const SimulatedResult result = Simulate(one);
    EXPECT_GE(result.goodput, 0.95) << one.Name();
    EXPECT_LE(result.refused, 0.005) << one.Name();
    one.warm_up = milliseconds(180'000);
    EXPECT_LE(Simulate(one).refused, 0.002) << one.Name() << " after three minutes";
  }
}

// After a minute. Sliding counters that are asked too much tell a time until which they refuse, and it is not
// true: whoever does as told loses up to a window by each refusal. So there a mean must do, and half.
TEST(LimiterSimulation, AnUnknownQuotaIsLearnt) {
  double counters = 0;
  int cases = 0;
  std::map<Headers, double> goodput;
  std::map<Headers, int> of_headers;
  ForAll(false, [&](const SimulatedCase& one, const SimulatedResult& result) {
    const bool false_times = one.limit == Limit::kSlidingCounters && one.headers != Headers::kMaxInterval &&
                             one.headers != Headers::kDraft;
    // Lanes that take turns lose a whole turn by being late.
    const bool turns = one.lanes > one.requests;
    EXPECT_GE(result.goodput, false_times ? 0.8 : turns ? 0.87 : 0.9) << one.Name();
    if (one.limit == Limit::kSlidingCounters) {
      counters += std::min(1.0, result.goodput);
      ++cases;
    }
    goodput[one.headers] += std::min(1.0, result.goodput);
    ++of_headers[one.headers];
  });
  EXPECT_GE(counters / cases, 0.95);
  for (const auto& [headers, sum] : goodput) EXPECT_GE(sum / of_headers[headers], 0.95) << NameOf(headers);
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
