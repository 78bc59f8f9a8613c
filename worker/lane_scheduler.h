#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "worker/delivery.h"

namespace weir::worker {

// Which lane's turn it is. A lane reads one task at a time; one that waits (limit, retry, lease) is simply
// not ready until then and holds no executor; ready lanes take turns. A task that has been read to its end
// may free its lane before it is committed. Interactive tasks of a lane go before its bulk ones. A delivery
// that must be alone is taken when nothing runs, and nothing is taken beside it; while it waits for that,
// nothing new begins. Thread-safe: the poll loop adds, executors take and give back, the keeper looks for
// idle lanes.
class LaneScheduler {
 public:
  using Millis = std::chrono::milliseconds;

  // `executors`: of the threads that take. Lanes are freed early while fewer than half of them are busy, and
  // the next tasks keep to that half: an executor at work has megabytes of buffers.
  explicit LaneScheduler(const Clock* clock, int executors = 8)
      : clock_(clock), few_(static_cast<std::size_t>(std::max(2, executors / 2))) {}

  struct Work {
    LaneId lane;
    Delivery delivery;
  };

  void Add(Delivery delivery);
  // The next ready lane's next task, waiting for one. Nothing when stopped. The lane is busy until Free, Done
  // or GiveBack; after Done or GiveBack the same thread is to call Take again: they wake nobody for it. Of
  // several that wait, the one that came last goes first, so that few lanes keep few executors busy: those
  // with warm buffers and open connections.
  std::optional<Work> Take();
  // Take without waiting.
  std::optional<Work> TryTake();
  // The lane's task will ask nothing more of the upstream, but has not ended: the lane may start its next
  // one. It counts as running, and its lane is not idle, until Done or GiveBack. False, and nothing done, if
  // it must be alone, or if enough run: more would only make them wait for each other in the database.
  bool Free(const LaneId& lane, TaskId task);
  // The lane's task has ended; the lane may start its next after `wait`.
  void Done(const LaneId& lane, TaskId task, Millis wait);
  // The lane's task is to be tried again after `wait`, before its others.
  void GiveBack(const LaneId& lane, Delivery delivery, Millis wait);
  // What runs alone may have company from now on.
  void EndAlone();
  // Takes all that is queued in a busy lane, for a wait too long to hold its offsets.
  std::vector<Delivery> Drain(const LaneId& lane);
  // Takes all that is queued in lanes that are not ready for longer than `wait`.
  std::vector<Delivery> DrainWaiting(Millis wait);
  // Forgets what is queued of partitions that were revoked or lost. Their lanes are leaving: others wait for
  // them.
  void Drop(const std::vector<kafka::TopicPartition>& partitions);
  void DropAll();
  // Some lane is leaving and not checked out yet.
  bool Leaving() const;
  // Lanes with no task for at least `idle`, and leaving ones as soon as they have none; they are busy until
  // CheckIn.
  std::vector<LaneId> CheckOutIdle(Millis idle);
  void CheckIn(const std::vector<LaneId>& lanes);

  // The tasks that are queued here although this worker has claimed them (Delivery::claimed).
  std::vector<std::int64_t> Claimed() const;
  std::size_t Queued() const;
  std::size_t Running() const;
  // Waits until no task runs, or until `deadline` (of the clock).
  bool WaitIdle(Millis deadline);
  // Take returns nothing from now on.
  void Stop();

 private:
  struct Lane {
    std::deque<Delivery> interactive, bulk;
    bool busy = false;
    std::vector<TaskId> ending;  // that have freed the lane; one an executor at most
    Millis ready_at{0};
    Millis idle_since{0};
    int partition = -1;    // where its tasks come from, in whichever topic
    bool leaving = false;  // that partition is another worker's now
    bool Empty() const { return interactive.empty() && bulk.empty(); }
    std::deque<Delivery>& Next() { return interactive.empty() ? bulk : interactive; }
    // The next one is a second message of a task that is about to end.
    bool Ending() {
      return std::find(ending.begin(), ending.end(), Next().front().message.task) != ending.end();
    }
  };

  struct Waiter {
    std::condition_variable wake;
    bool woken = false;
  };

  // One whose turn it is, with the queue that its next task stands in; null if it must wait.
  static std::deque<Delivery>* Ready(Lane& lane, Millis now);
  std::optional<Work> TakeReady(Millis now);
  // A lane whose turn it is with one that must be alone; end() if there is none.
  std::map<LaneId, Lane>::iterator Lonely(Millis now);
  Work TakeFrom(const LaneId& id, Lane& lane);
  // Whatever is ready must wait until something ends.
  bool Blocked(Millis now) {
    if (alone_ || (ending_ > 0 && running_ >= few_)) return true;
    return running_ > 0 && Lonely(now) != lanes_.end();
  }
  // The task gives up its lane's turn, if it still has it.
  void Leave(Lane& lane, TaskId task, Millis wait);
  void MoveQueued(Lane& lane, std::vector<Delivery>& to);
  Millis NextReady(Millis now);
  void WakeLast();
  void Wait(std::unique_lock<std::mutex>& lock, Millis time);

  const Clock* clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;  // for WaitIdle
  std::map<LaneId, Lane> lanes_;     // guarded by mutex_, as all below
  LaneId last_;                      // whose turn was last
  std::vector<Waiter*> waiting_;     // executors in Take; the last one also watches the time
  std::size_t few_;                  // so many run at the most where some of them have freed their lanes
  std::size_t ending_ = 0;           // that have
  std::size_t queued_ = 0;
  std::size_t running_ = 0;
  bool alone_ = false;  // what runs must be alone
  bool stopped_ = false;
};

}  // namespace weir::worker
