#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/backoff.h"
#include "common/base/ids.h"
#include "common/config/value_text.h"
#include "common/ledger/lanes.h"
#include "common/sources/rate_limit.h"

namespace weir::worker {

struct LimiterOptions {
  double initial_delay_ms = 200;  // after the first 429 of a lane that had no delay
  double min_delay_ms = 0;
  double max_delay_ms = 10'000;
  double increase = 2.5;
  double decrease = 0.98;
};

// What the lanes of this worker have learnt of their limits, and how their tasks go. Thread-safe; each lane
// is used by one executor at a time. Times are Clock::Boot's.
//
// A quota is shared out among its meter's lanes. Windows up to an hour are paced evenly: each lane has slots
// in which it may begin a request, a little slower than the quota, so that what arrives late does not overrun
// it; the slots of a meter's lanes lie evenly between each other on the wall clock, whichever workers have
// them. Longer windows (a day) are counted, so that a short job is not spread over the day; what may have
// been sent is written to weir.lanes before it is, so that a worker that dies takes no count with it.
class Limiter {
 public:
  using Millis = std::chrono::milliseconds;
  // `wall` is what is added to Boot for the wall clock on which slots lie; see SetWall.
  Limiter(LimiterOptions options, Millis base_delay, Millis max_delay, std::uint64_t seed,
          Millis wall = Millis(0));

  // As the database's clock was when the program began: machines need not agree on the time, and slots must
  // not jump with one. Before any thread is started.
  void SetWall(Millis wall) { wall_ = wall; }

  struct View {
    double delay_ms = 0;  // between two requests of the lane
    double task_ms = 0;   // a task's time, moving average
  };

  // The lane's lease was had. What this worker still knows of it stands if nobody else held it meanwhile.
  void Start(const LaneId& lane, const ledger::LaneState& state, Millis now);

  struct Turn {
    Millis wait{0};     // > 0: not before
    bool save = false;  // Memory is to be saved, with `ahead` as its wait, before the request is sent
    Millis ahead{0};
  };
  // May the lane send a request now?
  Turn Ask(const LaneId& lane, const std::vector<QuotaRule>& quota, int lanes, Millis now);
  // `requests` were sent in this lane, the first at `began`; how long until the next may be.
  Millis Charge(const LaneId& lane, const std::vector<QuotaRule>& quota, int lanes, std::int64_t requests,
                Millis began, Millis now);
  // What an answer's headers told: how long the lane waits for it. While more than half of a window's
  // requests remain it does not; then the rest is spread over the rest of the window.
  Millis Told(const LaneId& lane, const std::vector<RateWindow>& windows, int lanes, Millis now);

  // A request went well. The view's delay is the lane's own guess, or none beside what its headers told
  // (`told`) where they tell a pace.
  View Answered(const LaneId& lane, const std::vector<RateWindow>& told = {});
  // A task did, in such a time.
  void Finished(const LaneId& lane, Millis task_time);
  // A 429: how long the lane waits. `asked` is what the upstream says; it is held to [floor, 1 h] and
  // overrides the lane's own guess, which grows only while the upstream gives none, and at most once a
  // second: the refusals of one full window are one sign. It comes down quickly to twice what it was when the
  // lane was refused, and from there by lanes.decrease.
  Millis Throttled(const LaneId& lane, std::optional<Millis> asked, Millis floor, Millis now);
  // A failure that counts, the `attempts`-th of its task: how long the task waits. `asked` as above.
  Millis Failed(const LaneId& lane, int attempts, std::optional<Millis> asked);

  // The lane's next request is not before `until`.
  void Hold(const LaneId& lane, Millis until, const std::string& waiting_for);
  View Of(const LaneId& lane) const;
  // True at most once a `every` for a lane: its state is worth a statement.
  bool TimeToSave(const LaneId& lane, Millis now, Millis every);

  // What is to be kept of a lane. Its counts are those since the last call. `leaving`: this worker gives the
  // lane back and forgets it; else what may be sent before the next save is counted as sent.
  struct Kept {
    ledger::LaneMemory memory;
    Millis wait{0};
    std::string waiting_for;
  };
  Kept Memory(const LaneId& lane, Millis now, bool leaving);

 private:
  struct Window {
    Millis began{0};
    std::int64_t sent = 0;
    std::int64_t kept = 0;   // what weir.lanes says
    std::int64_t share = 1;  // of the lane, when last looked at
  };
  struct Seen {
    Millis began{0};
    std::int64_t remaining = -1;
  };
  static constexpr Millis kGrowEvery{1'000};

  struct State {
    double delay_ms = 0;
    double settle_ms = 0;  // down to it the delay comes quickly
    bool settled = true;   // a request went well since the delay grew
    Millis grown_at{-kGrowEvery};
    double task_ms = 0;
    std::int64_t successes = 0, throttles = 0;  // not yet saved
    int failures = 0;                           // in a row, over all tasks of the lane
    std::int64_t lease_epoch = -1;
    Millis saved_at{0};
    Millis next_at{0};
    std::string waiting_for;
    Millis slot{0};                    // used last, on the wall clock
    std::map<Millis, Window> windows;  // of quotas that are counted
    std::map<Millis, Seen> seen;       // what headers told last, by the window's length; bounded
  };

  void Grow(State& state, Millis now) const;
  void Shrink(State& state) const;
  static Window& Current(State& state, const LaneId& lane, const QuotaRule& rule, int lanes, Millis now);
  static Millis WaitFor(State& state, const RateWindow& told, const LaneId& lane, int lanes, Millis now);

  LimiterOptions options_;
  Millis wall_;
  mutable std::mutex mutex_;
  Backoff backoff_;  // guarded by mutex_, as states_
  std::map<LaneId, State> states_;
};

}  // namespace weir::worker
