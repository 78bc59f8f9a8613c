#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/config/value_text.h"
#include "common/sources/rate_limit.h"
#include "worker/limiter_learner.h"

namespace weir::worker {

// How many were sent in the last `per`, never too few: the oldest part counts as a whole.
class SentCount {
 public:
  using Millis = std::chrono::milliseconds;
  explicit SentCount(Millis per) : part_(std::max<Millis>(Millis(1), per / kParts)) {}
  void Add(Millis now, std::int64_t requests);
  std::int64_t Count(Millis now);

 private:
  static constexpr int kParts = 32;
  void Turn(Millis now);
  Millis part_;
  std::int64_t current_ = 0;  // number of the part that is counted now
  std::array<std::int64_t, kParts + 1> counts_{};
};

// What this worker knows of one meter, all of its lanes here together: what headers say of its windows, what
// others than weir use of them, and the rate that is granted. Not thread-safe; times are Clock::Boot's.
class MeterLimits {
 public:
  using Millis = std::chrono::milliseconds;
  explicit MeterLimits(double probe) : learner(probe) {}

  // How the lanes of the meter are spread over workers and used.
  struct Lanes {
    int all = 1;   // of the meter
    int held = 1;  // by this worker
  };
  void OnSent(Millis now, std::int64_t requests);
  // An answer said so of windows whose length is known.
  void OnWindow(const RateWindow& window, const std::vector<QuotaRule>& rules, const Lanes& lanes,
                Millis now);
  // The windows that headers told, as rules; what was not told for a while is forgotten.
  std::vector<QuotaRule> ToldRules(Millis now);
  // How many lanes are to share what headers tell: all, unless window after window leaves some unused, since
  // not all lanes have something to do.
  int SharingLanes(Millis per, const Lanes& lanes) const;
  // Between two requests of a lane, since others than weir use the same limit; 0 = they do not.
  Millis GapForOthers(const Lanes& lanes, Millis now) const;

  // An answer said when a window ends whose length is not known.
  void OnReset(const RateWindow& told, int lanes, Millis now);
  // How long the window of such answers is: the longest time until its end that two answers told alike.
  // Nothing while no two did, or where it is too long to be paced from its start.
  std::optional<Millis> LengthOf(std::int64_t limit, Millis left, Millis now);
  // What remains grows before a window ends: the upstream counts by a sliding window or by tokens, and what
  // it calls the end says nothing of when it grants more.
  bool GrantsGradually() const { return gradual_; }
  // A lane means to send at `at`, of `rate` requests in a millisecond here; returns when it should, so that
  // the lanes of this worker do not all send at once.
  Millis Reserve(Millis at, double rate);

  // A request that was sent at `sent` was refused: no lane here sends another for a moment, twice as long
  // with each refusal until one is granted. `rate` as above.
  void Hold(Millis sent, double rate, bool paced, Millis longest, Millis now);
  void OnGranted(Millis sent);
  // Until when; long ago if nothing is refused.
  Millis HeldUntil() const { return held_until_; }
  // A lane would send now: when it may, of `rate` requests in a millisecond here, in the order in which lanes
  // come. Lanes that were refused together would come back together.
  Millis TurnOf(double rate, Millis now);

  RateLearner learner;

 private:
  struct Window {
    explicit Window(Millis per) : sent(per) {}
    SentCount sent;
    std::int64_t limit = 0;
    std::int64_t remaining = 0;
    Millis unknown_until{0};  // what is used is not all explained until then
    Millis told_at{0};
    std::int64_t told = 0;    // the number of the telling
    double ours = 1;          // the part of our own pace that is kept
    std::int64_t pace = 0;    // requests of all lanes in a window, unless others use it
    std::int64_t others = 0;  // requests of others in a window
    Millis others_at{0};
    double sharing = 1;          // the part of the lanes that seem to have something to do
    Millis period_began{0};      // as long as the window
    std::int64_t most_used = 0;  // in this period
  };
  static void Share(Window& window, Millis per, const Lanes& lanes, Millis now);

  std::map<Millis, Window> windows_;  // by length; bounded
  std::int64_t tellings_ = 0;
  std::int64_t sent_ = 0;
  Millis reserved_{0};  // the latest
  Millis held_at_{-1}, held_until_{0};
  int holds_ = 0;                             // since one was granted
  double turn_{0};                            // the next free one
  Millis ends_{0};                            // the window that was told of last
  std::optional<std::int64_t> ending_limit_;  // its
  std::int64_t lowest_ = 0;                   // remaining in it
  bool gradual_ = false;
  std::int64_t timed_limit_ = 0;  // of the window whose length is looked for
  Millis timed_end_{0};           // as the last answer told it
  Millis length_{0};              // the longest; 0 = not known
};

}  // namespace weir::worker
