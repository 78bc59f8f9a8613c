#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "common/base/backoff.h"
#include "common/base/ids.h"
#include "common/config/value_text.h"

namespace weir::worker {

struct LimiterOptions {
  double initial_delay_ms = 200;  // after the first 429 of a lane that had no delay
  double min_delay_ms = 0;
  double max_delay_ms = 10'000;
  double increase = 2.5;
  double decrease = 0.98;
};

// What the lanes of this worker have learnt of their limits, and how their tasks go. Thread-safe; each lane
// is used by one executor at a time.
class Limiter {
 public:
  using Millis = std::chrono::milliseconds;
  Limiter(LimiterOptions options, Millis base_delay, Millis max_delay, std::uint64_t seed)
      : options_(options), backoff_(base_delay, max_delay, seed) {}

  struct View {
    double delay_ms = 0;  // between two requests of the lane
    double task_ms = 0;   // a task's time, moving average
  };

  // The lane was taken over from another worker, or begins.
  void Start(const LaneId& lane, double delay_ms);
  View Succeeded(const LaneId& lane, Millis task_time);
  // A 429: how long the lane waits. `asked` is the upstream's Retry-After; it is held to [floor, 1 h] and
  // overrides the lane's own guess, which grows only while the upstream gives none.
  Millis Throttled(const LaneId& lane, std::optional<Millis> asked, Millis floor);
  // `requests` were sent in this lane, the first at `began`; how long until the next may be, under the lane's
  // share of its meter's quota. Windows up to an hour are paced evenly, longer ones (a day) are counted, so
  // that a short job is not spread over the day.
  Millis Charge(const LaneId& lane, const std::vector<QuotaRule>& quota, int lanes, std::int64_t requests,
                Millis began, Millis now);
  // A failure that counts, the `attempts`-th of its task: how long the task waits.
  Millis Failed(const LaneId& lane, int attempts);
  View Of(const LaneId& lane) const;
  // True at most once a `every` for a lane: its state is worth a statement.
  bool TimeToSave(const LaneId& lane, Millis now, Millis every);

 private:
  struct State;
  static Millis ChargeLong(State& state, const QuotaRule& rule, int lanes, std::int64_t requests, Millis now);
  struct State {
    double delay_ms = 0;
    double task_ms = 0;
    int failures = 0;  // in a row, over all tasks of the lane
    Millis saved_at{0};
    struct Window {
      Millis began{0};
      std::int64_t sent = 0;
    };
    std::map<Millis, Window> windows;  // of quotas that are counted, by their length
  };
  LimiterOptions options_;
  mutable std::mutex mutex_;
  Backoff backoff_;  // guarded by mutex_, as states_
  std::map<LaneId, State> states_;
};

}  // namespace weir::worker
