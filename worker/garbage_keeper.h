#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

#include "common/kafka/consumer.h"
#include "common/ledger/garbage.h"
#include "common/pg/session.h"
#include "worker/finished_queue.h"

namespace weir::worker {

// A message of a task topic that is no task.
struct GarbageMessage {
  ledger::RawMessage message;
  std::string reason;
  std::uint64_t assignment = 0;
};

// Writes such messages into weir.garbage, on a thread of its own: the poll loop must not wait for the
// database. The leader sends their dead letters. Put and Stop are any thread's, RunOnce is one thread's.
class GarbageKeeper {
 public:
  explicit GarbageKeeper(FinishedQueue* finished) : finished_(finished) {}

  // False, and the message left as it is, when too many wait already. A message is cut to what its letter
  // keeps.
  bool Put(GarbageMessage& garbage);
  // Waits for messages and writes them; their offsets may be stored then. What the database does not take is
  // tried again by the next call, a second later. False once stopped. What is not written then comes again to
  // whoever gets the partition next.
  bool RunOnce(pg::SessionPool& pool);
  void Stop();

 private:
  static constexpr std::size_t kMostMessages = 64;
  static constexpr std::size_t kMostBytes = 256 << 10;

  Result<void> Write(pg::SessionPool& pool, const GarbageMessage& garbage) const;

  FinishedQueue* finished_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<GarbageMessage> waiting_;  // guarded by mutex_, as all below
  std::size_t bytes_ = 0;
  bool failed_ = false;  // the last attempt to write
  bool stopped_ = false;
};

// A Kafka message as the ledger keeps it.
ledger::RawMessage RawMessageOf(kafka::Message message);

}  // namespace weir::worker
