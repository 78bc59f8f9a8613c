#include "worker/buffer_pool.h"

#include <utility>

namespace weir::worker {
namespace {

constexpr std::size_t kLargestKept = 2U << 20;
// What a string has without memory of its own is not worth keeping.
constexpr std::size_t kLeastKept = 1U << 10;

template <typename T>
T TakeLast(std::mutex& mutex, std::vector<T>& from) {
  std::lock_guard lock(mutex);
  if (from.empty()) return T();
  T last = std::move(from.back());
  from.pop_back();
  return last;
}

}  // namespace

std::unique_ptr<PreparedBatch> BufferPool::TakePrepared() {
  auto prepared = TakeLast(mutex_, prepared_);
  return prepared ? std::move(prepared) : std::make_unique<PreparedBatch>();
}

RecordBatch BufferPool::TakeRecords() { return TakeLast(mutex_, records_); }

std::string BufferPool::TakeCopy() { return TakeLast(mutex_, copies_); }

void BufferPool::Give(std::unique_ptr<PreparedBatch> prepared) {
  if (!prepared) return;
  GiveCopy(std::exchange(prepared->copy, std::string()));
  prepared->Clear();
  std::lock_guard lock(mutex_);
  prepared_.push_back(std::move(prepared));
}

void BufferPool::Give(RecordBatch records) {
  records.Clear();
  std::lock_guard lock(mutex_);
  records_.push_back(std::move(records));
}

void BufferPool::GiveCopy(std::string copy) {
  if (copy.capacity() < kLeastKept || copy.capacity() > kLargestKept) return;
  copy.clear();
  std::lock_guard lock(mutex_);
  copies_.push_back(std::move(copy));
}

}  // namespace weir::worker
