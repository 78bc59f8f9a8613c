// weir-limit-bench: goodput and 429s of simulated workers on simulated limits, one line for each kind of
// limit and headers, the worst of all numbers of lanes and workers.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <vector>

#include "worker/limiter_simulation.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

struct Size {
  int lanes, workers;
};
struct Rate {
  std::int64_t requests;
  milliseconds window;
};
constexpr Size kSizes[] = {{1, 1}, {4, 1}, {4, 4}, {16, 2}, {16, 8}, {64, 1}, {64, 8}};
constexpr Rate kRates[] = {
    {50, milliseconds(1'000)}, {100, milliseconds(10'000)}, {300, milliseconds(60'000)}};
constexpr int kLatencies[] = {20, 100, 400};

struct Row {
  double least = 9, sum = 0, refused_sum = 0, most_refused = 0;
  int cases = 0;
};

void Print(bool known, bool all) {
  fmt::print("{:18} {:24} {:14} {:>7} {:>7} {:>8} {:>8}\n", known ? "QUOTA KNOWN" : "QUOTA UNKNOWN",
             "headers", "429 tells", "least", "mean", "429s", "most");
  for (const auto limit : {SimulatedCase::Limit::kFixedWindow, SimulatedCase::Limit::kSlidingLog,
                           SimulatedCase::Limit::kSlidingCounters, SimulatedCase::Limit::kTokenBucket}) {
    for (const auto headers : {SimulatedCase::Headers::kNone, SimulatedCase::Headers::kMaxInterval,
                               SimulatedCase::Headers::kResetDelta, SimulatedCase::Headers::kResetEpoch,
                               SimulatedCase::Headers::kDraft}) {
      for (const bool retry_after : {false, true}) {
        Row row;
        for (const Rate& rate : kRates) {
          for (const Size& size : kSizes) {
            for (const int latency : kLatencies) {
              SimulatedCase one{.limit = limit,
                                .headers = headers,
                                .retry_after = retry_after,
                                .quota_known = known,
                                .requests = rate.requests,
                                .window = rate.window,
                                .lanes = size.lanes,
                                .workers = size.workers,
                                .latency = milliseconds(latency)};
              one.warm_up = milliseconds(known ? 0 : 60'000);
              one.time = std::max(milliseconds(60'000), 4 * rate.window);
              const SimulatedResult result = Simulate(one);
              row.least = std::min(row.least, result.goodput);
              row.sum += result.goodput;
              row.refused_sum += result.refused;
              row.most_refused = std::max(row.most_refused, result.refused);
              ++row.cases;
              if (all) fmt::print("{:.3f} {:6.3f} % {}\n", result.goodput, 100 * result.refused, one.Name());
            }
          }
        }
        fmt::print("{:18} {:24} {:14} {:7.3f} {:7.3f} {:6.2f} % {:6.2f} %\n", NameOf(limit), NameOf(headers),
                   retry_after ? "Retry-After" : "nothing", row.least, row.sum / row.cases,
                   100 * row.refused_sum / row.cases, 100 * row.most_refused);
      }
    }
  }
}

}  // namespace
}  // namespace weir::worker

int main(int argc, char** argv) {
  CLI::App app{"Goodput and 429s of simulated workers on simulated limits"};
  bool all = false, known = false, unknown = false;
  app.add_flag("--all", all, "a line for each case");
  app.add_flag("--known", known, "only with the quota configured");
  app.add_flag("--unknown", unknown, "only without");
  CLI11_PARSE(app, argc, argv);
  if (!unknown) weir::worker::Print(true, all);
  if (!known) weir::worker::Print(false, all);
  return 0;
}
