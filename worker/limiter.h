#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/config/value_text.h"
#include "common/ledger/lanes.h"
#include "common/sources/rate_limit.h"
#include "worker/limiter_meter.h"
#include "worker/limiter_slots.h"

namespace weir::worker {

struct LimiterOptions {
  double initial_delay_ms = 200;  // after a 429 that says no time, of a lane that had no delay
  double min_delay_ms = 0;
  double max_delay_ms = 10'000;
  double increase = 2.5;   // the delay's factor, while 429s go on
  double decrease = 0.98;  // 1 - decrease is how much more than the learnt rate is tried first
};

// What the lanes of this worker know of their limits, and how their tasks go. Thread-safe; each lane is used
// by one executor at a time. Times are Clock::Boot's.
//
// Three things slow a lane down, and the slowest counts:
//   - its share of the quota, as configured or as headers tell it (limiter_slots.h). Windows up to an hour
//   are
//     paced evenly; longer ones (a day) are counted, and what may have been sent is written to weir.lanes
//     before it is, so that a worker that dies takes no count with it.
//   - what headers say remains, where it is less than weir's own use explains (limiter_meter.h).
//   - the rate that was learnt from refusals (limiter_learner.h), where no quota says a lower one.
class Limiter {
 public:
  using Millis = std::chrono::milliseconds;
  // `wall` is what is added to Boot for the wall clock on which slots lie; see SetWall.
  Limiter(LimiterOptions options, Millis base_delay, Millis max_delay, std::uint64_t seed,
          Millis wall = Millis(0));

  // As the database's clock was when the program began: machines need not agree on the time, and slots must
  // not jump with one. Before any thread is started.
  void SetWall(Millis wall) { wall_ = wall; }
  // What is to be set, by the quickest of several answers of the database: the lanes of two workers lie as
  // well among each other as their clocks agree.
  static Result<Millis> MeasureWall(const Clock& clock, const std::function<Result<std::int64_t>()>& ask);

  // What a lane's task is limited by: the rules of its account's meter, shared out among so many lanes.
  struct Quota {
    const std::vector<QuotaRule>& rules;
    int lanes = 1;
  };
  struct View {
    double delay_ms = 0;  // between two requests of the lane, as learnt from refusals; 0 = none
    double task_ms = 0;   // a task's time, moving average
  };

  // The lane's lease was taken. What this worker still knows of it stands if nobody else held it meanwhile.
  void Start(const LaneId& lane, const ledger::LaneState& state, Millis now);

  struct Turn {
    Millis wait{0};     // > 0: not before
    bool save = false;  // Memory is to be saved, with `ahead` as its wait, before the request is sent
    Millis ahead{0};
    bool used_up = false;  // a window that is counted is: no wait makes up for another request
  };
  // May the lane send a request now?
  Turn Ask(const LaneId& lane, const Quota& quota, Millis now);
  // `requests` were sent in this lane, the first at `began`; returns how long the quota makes the lane wait.
  Millis RecordSent(const LaneId& lane, const Quota& quota, std::int64_t requests, Millis began, Millis now);
  // What the headers of an answer said; returns how long the lane waits for it.
  Millis ApplyHeaders(const LaneId& lane, const Quota& quota, const std::vector<RateWindow>& windows,
                      Millis now);
  // The longest time until a window of these that is used up ends; nothing if none is, or none says when.
  std::optional<Millis> UsedUpFor(const LaneId& lane, const std::vector<RateWindow>& windows) const;

  // A request that was sent at `sent` went well; returns how long the lane waits by what was learnt.
  Millis OnSuccess(const LaneId& lane, const Quota& quota, Millis sent, Millis now);
  // A task ended well, in such a time.
  void Finished(const LaneId& lane, Millis task_time);
  // A 429 for a request that was sent at `sent`; returns how long the lane waits. `asked` is what the
  // upstream says; it is kept within [floor, 1 h]. Without it the lane waits for its usual time, and longer
  // while it is refused again and again: at most once a second, since the refusals of one full window are one
  // sign.
  Millis Throttled(const LaneId& lane, const Quota& quota, std::optional<Millis> asked, Millis floor,
                   Millis sent, Millis now);
  // A failure that counts, the `attempts`-th of its task: how long the task waits. `asked` as above.
  Millis Failed(const LaneId& lane, int attempts, std::optional<Millis> asked);

  // The lane's next request is not before `until`.
  void SetNotBefore(const LaneId& lane, Millis until, const std::string& waiting_for);
  View Of(const LaneId& lane) const;
  // True at most once every `every` for a lane: its state is worth a statement.
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
    double refused_ms = 0;  // the wait after the last refusal; 0 = something went well since
    Millis grown_at{-kGrowEvery};
    double task_ms = 0;
    std::int64_t successes = 0, throttles = 0;  // not yet saved
    int failures = 0;                           // in a row, over all tasks of the lane
    std::int64_t lease_epoch = -1;
    Millis saved_at{0};
    Millis next_at{0};
    std::string waiting_for;
    std::optional<Millis> sent_at{};  // the last request
    std::optional<Millis> turn_at{};  // among the lanes of this worker
    Millis seen_at{0};                // the last answer
    LanePacer pacer;
    std::map<Millis, Window> windows;  // of quotas that are counted
    std::map<Millis, Seen> seen;       // what headers told last of long windows, by length; bounded
  };

  MeterLimits& MeterOf(const LaneId& lane);
  MeterLimits::Lanes LanesOf(const LaneId& lane, int lanes) const;
  std::vector<LaneSlots> SlotsOf(const LaneId& lane, const Quota& quota, Millis now);
  double LearntGap(const LaneId& lane) const;
  double Bounded(double rate) const;
  bool QuotaIsSlower(const LaneId& lane, const Quota& quota, double rate, Millis now);
  std::optional<double> KnownRate(const LaneId& lane, const Quota& quota, Millis now);
  Millis AwaitTurn(State& state, const LaneId& lane, const Quota& quota, Millis now);
  double PaceOf(const LaneId& lane, const Quota& quota, Millis now);
  static Window& Current(State& state, const LaneId& lane, const Quota& quota, const QuotaRule& rule,
                         Millis now);
  static Millis LongWindow(State& state, const RateWindow& told, const LaneId& lane, Millis now);
  Millis ShortWindow(const LaneId& lane, const Quota& quota, RateWindow told, Millis now);

  LimiterOptions options_;
  Millis wall_;
  mutable std::mutex mutex_;
  Backoff backoff_;  // guarded by mutex_, as all below
  std::map<LaneId, State> states_;
  std::map<std::string, MeterLimits> meters_;
};

}  // namespace weir::worker
