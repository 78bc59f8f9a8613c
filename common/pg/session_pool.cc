#include <condition_variable>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "common/pg/session.h"

namespace weir::pg {

struct SessionPool::Impl {
  std::mutex mutex;
  std::condition_variable freed;
  // All guarded by mutex.
  std::vector<std::unique_ptr<Session>> idle;
  std::unordered_set<Session*> leased;
  bool stopped = false;
};

SessionPool::SessionPool(SessionOptions options, int size) : impl_(std::make_unique<Impl>()) {
  for (int i = 0; i < size; ++i) impl_->idle.push_back(std::make_unique<Session>(options));
}

SessionPool::~SessionPool() = default;

Result<SessionPool::Lease> SessionPool::Acquire() {
  std::unique_lock lock(impl_->mutex);
  impl_->freed.wait(lock, [&] { return impl_->stopped || !impl_->idle.empty(); });
  if (impl_->stopped) return Fail(ErrorClass::kStopped, "interrupted");
  // The last returned first: a quiet worker needs one connection, not all of them.
  std::unique_ptr<Session> session = std::move(impl_->idle.back());
  impl_->idle.pop_back();
  impl_->leased.insert(session.get());
  return Lease(this, std::move(session));
}

void SessionPool::Stop() {
  const std::lock_guard lock(impl_->mutex);
  impl_->stopped = true;
  impl_->freed.notify_all();
}

void SessionPool::Interrupt() {
  const std::lock_guard lock(impl_->mutex);
  impl_->stopped = true;
  for (Session* session : impl_->leased) session->Interrupt();
  impl_->freed.notify_all();
}

SessionPool::Lease::Lease(SessionPool* pool, std::unique_ptr<Session> session)
    : pool_(pool), session_(std::move(session)) {}

SessionPool::Lease::Lease(Lease&&) noexcept = default;

SessionPool::Lease::~Lease() {
  if (!session_) return;
  // Its next holder must neither inherit a transaction nor wait for another's commit.
  if (!session_->Connected() || session_->Pending() || session_->InTransaction()) session_->Reset();
  SessionPool::Impl& pool = *pool_->impl_;
  const std::lock_guard lock(pool.mutex);
  pool.leased.erase(session_.get());
  pool.idle.push_back(std::move(session_));
  pool.freed.notify_one();
}

}  // namespace weir::pg
