#include "worker/poll_loop.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/obs/log.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

// Tasks held at once by a worker, queued or running: a fixed window whatever Kafka holds (DESIGN §4.6).
constexpr std::size_t kMaxQueued = 512;

}  // namespace

PollLoop::~PollLoop() = default;

void PollLoop::Wake() {
  const std::lock_guard lock(consumer_mutex_);
  if (consumer_) consumer_->Wake();
}

void PollLoop::SetConsumer(std::unique_ptr<kafka::Consumer> consumer) {
  {
    const std::lock_guard lock(consumer_mutex_);
    std::swap(consumer_, consumer);
  }
  // The former one ends here, outside of the lock: executors do not wait for that.
}

bool PollLoop::HaveClient() {
  if (refused_ || closed_) return false;
  const milliseconds now = parts_.clock->Boot();
  if (consumer_) {
    const bool moved = consumer_->AddressChanged();
    if (!moved && !consumer_->ClockSetBack()) return true;
    Log(LogLevel::kInfo,
        moved ? "the broker has moved: connecting anew" : "the clock was set back: connecting to Kafka anew");
    DropClient();
  }
  if (now < next_client_) return false;
  next_client_ = now + parts_.client_retry;
  auto consumer = parts_.new_consumer(this);
  if (!consumer) {
    LogError(LogLevel::kWarn, "no Kafka client yet", consumer.error());
    return false;
  }
  SetConsumer(std::move(*consumer));
  return true;
}

void PollLoop::DropClient() {
  std::vector<kafka::TopicPartition> all;
  for (const auto& [from, partition] : partitions_) all.push_back(from);
  Forget(all);
  SetConsumer(nullptr);
}

void PollLoop::RunOnce(milliseconds timeout) {
  if (!HaveClient()) {
    StoreFinished();
    const milliseconds wait = refused_ || closed_ ? timeout : next_client_ - parts_.clock->Boot();
    std::this_thread::sleep_for(std::clamp(wait, milliseconds(0), timeout));
    return;
  }
  if (auto ok = consumer_->Poll(more_ ? milliseconds(0) : timeout); !ok) {
    if (ok.error().error_class == ErrorClass::kConfig) {
      refused_ = ok.error();
    } else {
      LogError(LogLevel::kError, "the Kafka client failed: making a new one", ok.error());
    }
    DropClient();
    return;
  }
  StoreFinished();
  TakeMessages();
  parts_.metrics->KafkaBytesReceived(consumer_->BytesReceived());
  parts_.metrics->SetLagMessages(consumer_->Lag());
}

void PollLoop::FinishOffset(const kafka::TopicPartition& from, std::int64_t offset,
                            std::uint64_t assignment) {
  const auto at = partitions_.find(from);
  if (at == partitions_.end() || at->second.assignment != assignment) return;
  at->second.tracker.Finished(offset);
  const auto next = at->second.tracker.TakeStorable();
  if (next && consumer_) (void)consumer_->StoreOffset(from, *next);
}

void PollLoop::StoreFinished() {
  for (const Delivery& one : parts_.finished->TakeAll()) FinishOffset(one.from, one.offset, one.assignment);
}

// The partition with the fewest unfinished goes first: what a worker takes is bounded, and else the first
// partitions would fill it while lanes of the last ones have nothing to do.
void PollLoop::TakeMessages() {
  more_ = false;
  if (!taking_) return;
  std::vector<std::pair<const kafka::TopicPartition, Partition>*> open;
  for (auto& one : partitions_) {
    if (PutGarbage(one.second) && !one.second.tracker.Full()) open.push_back(&one);
  }
  const auto fewer = [](const auto* a, const auto* b) {
    return a->second.tracker.Unfinished() < b->second.tracker.Unfinished();
  };
  while (!open.empty()) {
    if (parts_.scheduler->Queued() >= kMaxQueued) return;
    const auto fewest = std::min_element(open.begin(), open.end(), fewer);
    auto& [from, partition] = **fewest;
    if (!TakeOne(from, partition) || partition.tracker.Full()) open.erase(fewest);
  }
}

bool PollLoop::TakeOne(const kafka::TopicPartition& from, Partition& partition) {
  auto message = consumer_->Next(from);
  if (!message) return false;
  if (partition.tracker.GoesBack(message->offset)) StartOver(from, partition);
  partition.tracker.Delivered(message->offset);
  auto task = ledger::DecodeTask(message->value);
  if (!task) {
    Log(LogLevel::kWarn, "a message that is no task", {{"topic", from.topic}, {"offset", message->offset}});
    partition.garbage =
        GarbageMessage{RawMessageOf(std::move(*message)), task.error().message, partition.assignment};
    return PutGarbage(partition);
  }
  Delivery delivery;
  delivery.message = std::move(*task);
  delivery.value = std::move(message->value);
  delivery.from = from;
  delivery.offset = message->offset;
  delivery.assignment = partition.assignment;
  delivery.interactive = from.topic == parts_.topics.interactive;
  parts_.scheduler->Add(std::move(delivery));
  return true;
}

// True when nothing of the partition waits for the keeper.
bool PollLoop::PutGarbage(Partition& partition) {
  if (partition.garbage && parts_.garbage->Put(*partition.garbage)) partition.garbage.reset();
  return !partition.garbage;
}

// The log of the partition begins again (a topic that was made again, an unclean election, or the position
// was out of range): what is in hand came from another log. Its completions name the older assignment and are
// ignored.
void PollLoop::StartOver(const kafka::TopicPartition& from, Partition& partition) {
  Log(LogLevel::kWarn, "a partition's offsets went back: its log is another one now",
      {{"topic", from.topic}, {"partition", from.partition}});
  parts_.scheduler->Drop({from});
  partition = Partition{++assignments_, {}, {}};
}

void PollLoop::OnAssigned(const std::vector<kafka::TopicPartition>& partitions) {
  parts_.metrics->Rebalance();
  assigned_ = true;
  ++assignments_;
  for (const auto& from : partitions) partitions_.insert_or_assign(from, Partition{assignments_, {}, {}});
  more_ = true;
  Log(LogLevel::kInfo, "partitions assigned", {{"count", partitions.size()}});
}

// What runs goes on under its lane's lease: another worker that gets the partition waits for the lease, and
// then finds the task ended in the ledger. So a rebalance never waits for a page, and no page is read twice
// for it (docs/adr/0006).
void PollLoop::OnRevoked(const std::vector<kafka::TopicPartition>& partitions) {
  parts_.scheduler->Drop(partitions);
  StoreFinished();
  Forget(partitions);
}

void PollLoop::OnLost(const std::vector<kafka::TopicPartition>& partitions) { Forget(partitions); }

void PollLoop::Forget(const std::vector<kafka::TopicPartition>& partitions) {
  parts_.scheduler->Drop(partitions);
  for (const auto& from : partitions) partitions_.erase(from);
  if (parts_.revoked) parts_.revoked();
}

void PollLoop::Close(milliseconds timeout) {
  StoreFinished();
  closed_ = true;
  if (consumer_) consumer_->Close(timeout);
  SetConsumer(nullptr);
}

}  // namespace weir::worker
