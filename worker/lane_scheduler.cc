#include "worker/lane_scheduler.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace weir::worker {
namespace {

// An upper bound of a wait for a lane to become ready: clocks of tests and suspended machines are looked at
// again.
constexpr LaneScheduler::Millis kLongestWait{1'000};

}  // namespace

void LaneScheduler::Add(Delivery delivery) {
  std::lock_guard lock(mutex_);
  Lane& lane = lanes_[delivery.message.lane];
  lane.partition = delivery.from.partition;
  lane.leaving = false;
  (delivery.interactive ? lane.interactive : lane.bulk).push_back(std::move(delivery));
  ++queued_;
  WakeLast();
}

// Out of the list at once, so that the next call wakes another.
void LaneScheduler::WakeLast() {
  if (waiting_.empty()) return;
  waiting_.back()->woken = true;
  waiting_.back()->wake.notify_one();
  waiting_.pop_back();
}

void LaneScheduler::Wait(std::unique_lock<std::mutex>& lock, Millis time) {
  Waiter self;
  waiting_.push_back(&self);
  self.wake.wait_for(lock, time, [&] { return self.woken; });
  std::erase(waiting_, &self);
}

std::deque<Delivery>* LaneScheduler::Ready(Lane& lane, Millis now) {
  if (lane.busy || lane.Empty() || lane.ready_at > now || lane.Ending()) return nullptr;
  return &lane.Next();
}

std::map<LaneId, LaneScheduler::Lane>::iterator LaneScheduler::Lonely(Millis now) {
  return std::find_if(lanes_.begin(), lanes_.end(), [&](auto& lane) {
    const auto* queue = Ready(lane.second, now);
    return queue != nullptr && queue->front().alone;
  });
}

LaneScheduler::Work LaneScheduler::TakeFrom(const LaneId& id, Lane& lane) {
  auto& queue = lane.Next();
  Work work{id, std::move(queue.front())};
  queue.pop_front();
  lane.busy = true;
  alone_ = work.delivery.alone;
  last_ = id;
  --queued_;
  ++running_;
  return work;
}

std::optional<LaneScheduler::Work> LaneScheduler::TakeReady(Millis now) {
  if (lanes_.empty() || Blocked(now)) return std::nullopt;
  if (const auto lonely = Lonely(now); lonely != lanes_.end()) return TakeFrom(lonely->first, lonely->second);
  auto at = lanes_.upper_bound(last_);
  for (std::size_t i = 0; i < lanes_.size(); ++i, ++at) {
    if (at == lanes_.end()) at = lanes_.begin();
    if (Ready(at->second, now) != nullptr) return TakeFrom(at->first, at->second);
  }
  return std::nullopt;
}

LaneScheduler::Millis LaneScheduler::NextReady(Millis now) {
  Millis wait = kLongestWait;
  for (auto& [id, lane] : lanes_) {
    if (!lane.busy && !lane.Empty() && !lane.Ending())
      wait = std::min(wait, std::max(Millis(1), lane.ready_at - now));
  }
  return wait;
}

std::optional<LaneScheduler::Work> LaneScheduler::TryTake() {
  std::lock_guard lock(mutex_);
  if (stopped_) return std::nullopt;
  return TakeReady(clock_->Boot());
}

std::optional<LaneScheduler::Work> LaneScheduler::Take() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    const Millis now = clock_->Boot();
    if (auto work = TakeReady(now)) {
      // Whoever waited last now takes what else is ready, or watches for when it will be.
      if (!Blocked(now) && NextReady(now) < kLongestWait) WakeLast();
      return work;
    }
    // Only the last one to come needs to know the time: the others are woken by it, or by what is added.
    Wait(lock, Blocked(now) ? kLongestWait : NextReady(now));
  }
  return std::nullopt;
}

bool LaneScheduler::Free(const LaneId& id, TaskId task) {
  std::lock_guard lock(mutex_);
  if (alone_ || running_ >= few_) return false;
  Lane& lane = lanes_[id];
  lane.busy = false;
  lane.ending.push_back(task);
  ++ending_;
  if (!lane.Empty()) WakeLast();
  return true;
}

void LaneScheduler::Leave(Lane& lane, TaskId task, Millis wait) {
  const Millis now = clock_->Boot();
  lane.idle_since = now;
  // What a task that ends beside it has to wait for stands.
  lane.ready_at = std::max(lane.ready_at, now + wait);
  if (std::erase(lane.ending, task) > 0) {
    --ending_;
  } else {
    lane.busy = false;
  }
  alone_ = false;
  if (--running_ == 0) changed_.notify_all();
}

void LaneScheduler::Done(const LaneId& id, TaskId task, Millis wait) {
  std::lock_guard lock(mutex_);
  Leave(lanes_[id], task, wait);
}

void LaneScheduler::GiveBack(const LaneId& id, Delivery delivery, Millis wait) {
  std::lock_guard lock(mutex_);
  Lane& lane = lanes_[id];
  const TaskId task = delivery.message.task;
  // The message of a partition that is gone comes to its new owner; a claim that is not given back yet is
  // ours.
  if (!lane.leaving || delivery.claimed.value != 0) {
    (delivery.interactive ? lane.interactive : lane.bulk).push_front(std::move(delivery));
    ++queued_;
  }
  Leave(lane, task, wait);
}

void LaneScheduler::EndAlone() {
  std::lock_guard lock(mutex_);
  if (!std::exchange(alone_, false)) return;
  WakeLast();
}

void LaneScheduler::MoveQueued(Lane& lane, std::vector<Delivery>& to) {
  for (auto* queue : {&lane.interactive, &lane.bulk}) {
    queued_ -= queue->size();
    std::move(queue->begin(), queue->end(), std::back_inserter(to));
    queue->clear();
  }
}

std::vector<Delivery> LaneScheduler::Drain(const LaneId& id) {
  std::lock_guard lock(mutex_);
  std::vector<Delivery> all;
  MoveQueued(lanes_[id], all);
  return all;
}

std::vector<Delivery> LaneScheduler::DrainWaiting(Millis wait) {
  std::lock_guard lock(mutex_);
  std::vector<Delivery> all;
  const Millis now = clock_->Boot();
  for (auto& [id, lane] : lanes_) {
    if (!lane.busy && lane.ready_at - now > wait) MoveQueued(lane, all);
  }
  return all;
}

void LaneScheduler::Drop(const std::vector<kafka::TopicPartition>& partitions) {
  std::lock_guard lock(mutex_);
  std::set<int> gone;
  for (const auto& partition : partitions) gone.insert(partition.partition);
  for (auto& [id, lane] : lanes_) {
    if (gone.contains(lane.partition)) lane.leaving = true;
    for (auto* queue : {&lane.interactive, &lane.bulk}) {
      queued_ -= std::erase_if(*queue, [&](const Delivery& delivery) {
        return std::find(partitions.begin(), partitions.end(), delivery.from) != partitions.end();
      });
    }
  }
}

void LaneScheduler::DropAll() {
  std::lock_guard lock(mutex_);
  for (auto& [id, lane] : lanes_) {
    lane.interactive.clear();
    lane.bulk.clear();
    lane.leaving = true;
  }
  queued_ = 0;
}

std::vector<std::int64_t> LaneScheduler::Claimed() const {
  std::lock_guard lock(mutex_);
  std::vector<std::int64_t> tasks;
  for (const auto& [id, lane] : lanes_) {
    for (const auto* queue : {&lane.interactive, &lane.bulk}) {
      for (const Delivery& delivery : *queue) {
        if (delivery.claimed.value != 0) tasks.push_back(delivery.message.task.value);
      }
    }
  }
  return tasks;
}

bool LaneScheduler::Leaving() const {
  std::lock_guard lock(mutex_);
  return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& one) { return one.second.leaving; });
}

std::vector<LaneId> LaneScheduler::CheckOutIdle(Millis idle) {
  std::lock_guard lock(mutex_);
  std::vector<LaneId> out;
  const Millis now = clock_->Boot();
  for (auto& [id, lane] : lanes_) {
    if (lane.busy || !lane.Empty() || !lane.ending.empty()) continue;
    if (!lane.leaving && now - lane.idle_since < idle) continue;
    lane.busy = true;
    out.push_back(id);
  }
  return out;
}

void LaneScheduler::CheckIn(const std::vector<LaneId>& lanes) {
  std::lock_guard lock(mutex_);
  for (const LaneId& id : lanes) {
    const auto at = lanes_.find(id);
    if (at == lanes_.end()) continue;
    at->second.busy = false;
    if (at->second.Empty()) lanes_.erase(at);
  }
  WakeLast();
}

std::size_t LaneScheduler::Queued() const {
  std::lock_guard lock(mutex_);
  return queued_;
}

std::size_t LaneScheduler::Running() const {
  std::lock_guard lock(mutex_);
  return running_;
}

bool LaneScheduler::WaitIdle(Millis deadline) {
  std::unique_lock lock(mutex_);
  while (running_ > 0) {
    const Millis left = deadline - clock_->Boot();
    if (left <= Millis(0)) return false;
    changed_.wait_for(lock, std::min(left, kLongestWait));
  }
  return true;
}

void LaneScheduler::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  while (!waiting_.empty()) WakeLast();
}

}  // namespace weir::worker
