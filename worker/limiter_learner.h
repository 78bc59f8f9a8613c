#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace weir::worker {

// Learns the rate that an upstream grants this worker, all lanes of one meter together, from what it refuses.
//
// A cycle reaches from the end of one refusal to the end of the next: what went well in it, over its time, is
// what the upstream grants, whether it counts in fixed windows, sliding ones or by tokens. From that rate the
// worker goes on, and while nothing is refused it goes faster: slowly for as long as the cycle was, then
// faster and faster. Workers need not know of each other: each one's part is refused in proportion to what it
// sends.
//
// Not thread-safe. Times are Clock::Boot's.
class RateLearner {
 public:
  using Millis = std::chrono::milliseconds;
  // `probe`: how much more than the known rate is tried first, as a part of it.
  explicit RateLearner(double probe) : probe_(probe) {}

  // A request that was sent at `sent` went well.
  void OnSuccess(Millis sent, Millis now);
  // One was refused, or the upstream says that the next will be. `reopens` is the least time until it
  // grants any, if it says one (`told`).
  void OnRefused(Millis sent, Millis reopens, bool told);
  // What happened so far says nothing of a rate: a day's limit was used up, or there was nothing to do.
  void Restart(Millis now);

  // Requests in a millisecond; nothing = never refused.
  std::optional<double> Rate() const;
  // This worker's part grew or shrank: its lanes did.
  void Scale(double factor) { base_ *= factor; }
  void Seed(double rate);

 private:
  struct Mark {
    Millis at{0};
    std::int64_t good = 0;
  };
  void NoteMark(Millis now);
  void EndCycle(Millis now);
  double SentBy(Millis until) const;
  double MeasuredSince(const Mark& from, Millis reopened_at, Millis now) const;

  double probe_;
  double base_ = 0;  // requests in a millisecond; 0 = not learnt
  Millis cycle_{0};  // the last one's length
  int cycles_ = 0;   // that base_ rests on
  Millis quiet_{0};  // nothing was refused for so long, while requests were sent

  bool started_ = false;
  Millis began_{0};
  Millis last_{0};         // the last success
  std::int64_t good_ = 0;  // successes since began_
  bool refused_ = false;   // and nothing went well since
  Millis refused_first_{0};
  Millis longest_full_{0};   // the longest time without a success, of late
  Millis reopens_{0};        // not before
  bool told_ = false;        // by the upstream
  std::vector<Mark> marks_;  // of this cycle; bounded
};

}  // namespace weir::worker
