#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/config/value_text.h"

namespace weir::worker {

// Up to this length a window is paced evenly; a longer one (a day) is counted, so that a short job is not
// spread over it.
inline constexpr std::chrono::milliseconds kLongestPacedWindow{3'600'000};

// A rule with fewer requests than lanes is paced however long its window is: its lanes take turns.
bool IsPaced(const QuotaRule& rule, int lanes);

// A lane's part of a rule's requests. The parts of all lanes add up to the rule's.
std::int64_t ShareOf(const QuotaRule& rule, int index, int lanes);

// The lowest rate of the paced rules, in requests a millisecond; nothing if none is paced.
std::optional<double> SlowestRate(const std::vector<QuotaRule>& rules, int lanes);

// The slots of one lane under one paced rule, on the wall clock that all workers agree on. A lane with a
// share of one request or more keeps its own share in any window, so the lanes together keep the rule
// whatever their clocks and delays are; the slots only spread the requests. Where there are more lanes than
// requests, the lanes take turns by the clock.
struct LaneSlots {
  using Micros = std::chrono::microseconds;
  LaneSlots(const QuotaRule& rule, int index, int lanes);

  // The last slot that is not after `time`.
  Micros Before(Micros time) const { return time - (time - first) % gap; }
  friend bool operator==(const LaneSlots&, const LaneSlots&) = default;

  Micros per{0};            // the rule's window
  Micros guard{0};          // the lane's share may be sent once in per + guard
  Micros gap{0};            // between two slots
  Micros first{0};          // one of them
  Micros apart{0};          // between two slots of all lanes
  Micros late{0};           // a request may begin so long after its slot
  std::int64_t share = 0;   // requests in `per`; 0 = one in several windows
  std::int64_t credit = 0;  // so many missed slots may be used later
};

// When a lane sent its last requests, as far back as its share reaches. Bounded: of a large share only every
// n-th send is kept, which errs on the safe side.
class SendLog {
 public:
  using Micros = std::chrono::microseconds;
  explicit SendLog(std::int64_t share);
  std::int64_t Share() const { return share_; }
  void Add(Micros at, std::int64_t requests);
  // Another request keeps the share from then on.
  Micros FreeAt(Micros per) const;

 private:
  std::int64_t share_;
  std::int64_t stride_;
  std::int64_t sent_ = 0;
  std::vector<Micros> times_;  // of every stride_-th send, a ring
};

// Paces one lane under all of its paced rules. Not thread-safe. Times are the wall clock's.
class LanePacer {
 public:
  using Micros = std::chrono::microseconds;
  // How long until the lane may send; 0 = now. A lane that came for its first slot may come late.
  Micros Wait(const std::vector<LaneSlots>& rules, Micros now);
  // It sent `requests`, the first at `began`.
  void Record(const std::vector<LaneSlots>& rules, std::int64_t requests, Micros began);
  // It was refused, and waits until `until`: its slots lie too close to other lanes', so they move a little,
  // and those until then are not used later.
  void OnRefused(const std::vector<LaneSlots>& rules, Micros until);

 private:
  std::optional<LaneSlots> Slowest(const std::vector<LaneSlots>& rules);
  Micros NextSlot(const LaneSlots& slots, Micros now) const;

  bool started_ = false;
  Micros planned_ = Micros::max();  // the first slot
  Micros moved_{0};                 // all slots, by so much
  unsigned moves_ = 0;
  Micros used_{0};                  // the last slot that was used
  Micros gap_{0};                   // of the slots that used_ is one of
  std::map<Micros, SendLog> logs_;  // by the rule's window
};

}  // namespace weir::worker
