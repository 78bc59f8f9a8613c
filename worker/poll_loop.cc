#include "worker/poll_loop.h"

#include <algorithm>
#include <utility>

#include "common/kafka/dead_letter.h"
#include "common/ledger/garbage.h"
#include "common/obs/log.h"

namespace weir::worker {
namespace {

using std::chrono::milliseconds;

// Tasks held at once by a worker, queued or running: a fixed window whatever Kafka holds (DESIGN §4.6).
constexpr std::size_t kMaxQueued = 512;
constexpr std::size_t kMaxGarbage = 64;
constexpr milliseconds kClientRetry{500};
constexpr milliseconds kDeadLetterTimeout{5'000};

// Its original bytes and headers, and what was wrong with it.
kafka::OutgoingMessage DeadLetterOf(const kafka::Topics& topics, const kafka::Message& message,
                                    const std::string& reason) {
  return {topics.dead_letters, message.key, message.value,
          kafka::DeadLetterHeaders(message.headers, {.from = message.from,
                                                     .offset = message.offset,
                                                     .group = topics.group,
                                                     .message = reason,
                                                     .kind = "garbage"})};
}

}  // namespace

PollLoop::~PollLoop() = default;

void PollLoop::Wake() {
  if (consumer_) consumer_->Wake();
}

bool PollLoop::HaveClient() {
  const milliseconds now = parts_.clock->Boot();
  if (consumer_) {
    const bool moved = consumer_->AddressChanged();
    if (!moved && !consumer_->ClockSetBack()) return true;
    Log(LogLevel::kInfo,
        moved ? "the broker has moved: connecting anew" : "the clock was set back: connecting to Kafka anew");
    DropClient();
  }
  if (now < next_client_) return false;
  next_client_ = now + kClientRetry;
  auto consumer = parts_.new_consumer(this);
  if (!consumer) {
    LogError(LogLevel::kWarn, "no Kafka client yet", consumer.error());
    return false;
  }
  consumer_ = std::move(*consumer);
  return true;
}

void PollLoop::DropClient() {
  std::vector<kafka::TopicPartition> all;
  for (const auto& [from, partition] : partitions_) all.push_back(from);
  Forget(all);
  consumer_.reset();
  producer_.reset();
}

void PollLoop::RunOnce(milliseconds timeout) {
  if (!HaveClient()) {
    StoreFinished();
    return;
  }
  if (auto ok = consumer_->Poll(more_ ? milliseconds(0) : timeout); !ok) {
    LogError(LogLevel::kError, "the Kafka client failed: making a new one", ok.error());
    DropClient();
    return;
  }
  KeepGarbage();
  StoreFinished();
  TakeMessages();
  parts_.metrics->KafkaBytesReceived(consumer_->BytesReceived());
  parts_.metrics->SetLagMessages(consumer_->Lag());
}

bool PollLoop::SendDeadLetter(const kafka::OutgoingMessage& message) {
  if (!producer_) {
    auto producer = parts_.new_producer();
    if (!producer) return false;
    producer_ = std::move(*producer);
  }
  auto sent = producer_->Send({message}, kDeadLetterTimeout);
  if (!sent) producer_.reset();
  return sent && sent->front();
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
    if (!one.second.tracker.Full()) open.push_back(&one);
  }
  const auto fewer = [](const auto* a, const auto* b) {
    return a->second.tracker.Unfinished() < b->second.tracker.Unfinished();
  };
  while (!open.empty()) {
    if (parts_.scheduler->Queued() >= kMaxQueued || garbage_.size() >= kMaxGarbage) return;
    const auto fewest = std::min_element(open.begin(), open.end(), fewer);
    auto& [from, partition] = **fewest;
    if (!TakeOne(from, partition) || partition.tracker.Full()) open.erase(fewest);
  }
}

bool PollLoop::TakeOne(const kafka::TopicPartition& from, Partition& partition) {
  auto message = consumer_->Next(from);
  if (!message) return false;
  partition.tracker.Delivered(message->offset);
  auto task = ledger::DecodeTask(message->value);
  if (!task) {
    Log(LogLevel::kWarn, "a message that is no task", {{"topic", from.topic}, {"offset", message->offset}});
    garbage_.push_back({std::move(*message), task.error().message, partition.assignment});
    return true;
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

void PollLoop::KeepGarbage() {
  while (!garbage_.empty()) {
    Garbage& one = garbage_.back();
    auto session = parts_.pool->Acquire();
    if (!session) return;
    auto kept = ledger::SaveGarbage(**session, one.message.from.topic, one.message.from.partition,
                                    one.message.offset, one.reason, one.message.value);
    if (!kept || !SendDeadLetter(DeadLetterOf(parts_.topics, one.message, one.reason))) return;
    FinishOffset(one.message.from, one.message.offset, one.assignment);
    garbage_.pop_back();
  }
}

void PollLoop::OnAssigned(const std::vector<kafka::TopicPartition>& partitions) {
  parts_.metrics->Rebalance();
  assigned_ = true;
  ++assignments_;
  for (const auto& from : partitions) partitions_.insert_or_assign(from, Partition{assignments_, {}});
  more_ = true;
  if (parts_.joined && consumer_) parts_.joined(consumer_->MemberId());
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
  for (const auto& from : partitions) {
    partitions_.erase(from);
    std::erase_if(garbage_, [&](const Garbage& one) { return one.message.from == from; });
  }
}

void PollLoop::Close(milliseconds timeout) {
  StoreFinished();
  if (consumer_) consumer_->Close(timeout);
  consumer_.reset();
  producer_.reset();
}

}  // namespace weir::worker
