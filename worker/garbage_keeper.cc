#include "worker/garbage_keeper.h"

#include <chrono>
#include <utility>

#include "common/obs/log.h"

namespace weir::worker {
namespace {

constexpr std::chrono::seconds kRetry{1};

}  // namespace

ledger::RawMessage RawMessageOf(kafka::Message message) {
  ledger::RawMessage raw{std::move(message.from.topic), message.from.partition,   message.offset,
                         std::move(message.key),        std::move(message.value), {}};
  for (kafka::Header& header : message.headers)
    raw.headers.emplace_back(std::move(header.name), std::move(header.value));
  return raw;
}

bool GarbageKeeper::Put(GarbageMessage& garbage) {
  ledger::CutForLetter(garbage.message);
  const std::size_t bytes = garbage.message.Bytes();
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMostMessages || (!waiting_.empty() && bytes_ + bytes > kMostBytes)) return false;
    waiting_.push_back(std::move(garbage));
    bytes_ += bytes;
  }
  changed_.notify_one();
  return true;
}

Result<void> GarbageKeeper::Write(pg::SessionPool& pool, const GarbageMessage& garbage) const {
  auto session = pool.Acquire();
  if (!session) return Fail(session.error());
  return ledger::SaveGarbage(**session, garbage.message, garbage.reason);
}

bool GarbageKeeper::RunOnce(pg::SessionPool& pool) {
  std::unique_lock lock(mutex_);
  if (failed_) changed_.wait_for(lock, kRetry, [this] { return stopped_; });
  changed_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
  while (!stopped_ && !waiting_.empty()) {
    // Nobody else takes from the front, and adding at the end moves nothing.
    const GarbageMessage& one = waiting_.front();
    lock.unlock();
    auto written = Write(pool, one);
    lock.lock();
    if (!written && !failed_) LogError(LogLevel::kWarn, "garbage could not be kept yet", written.error());
    failed_ = !written;
    if (!written) break;
    Delivery finished;
    finished.from = {one.message.topic, one.message.partition};
    finished.offset = one.message.offset;
    finished.assignment = one.assignment;
    finished_->Push(std::move(finished));
    bytes_ -= one.message.Bytes();
    waiting_.pop_front();
  }
  return !stopped_;
}

void GarbageKeeper::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

}  // namespace weir::worker
