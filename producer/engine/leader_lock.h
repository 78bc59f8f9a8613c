#pragma once

#include <chrono>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir {

// Leadership of the producers on one database: an advisory lock on a session of its own, which also listens
// for what the leader is to look at (channel weir_dispatch). The lock lives as long as that backend; when the
// connection is lost leadership is too, and is never taken up again silently: Held() is false until Try
// succeeds anew. One thread, but for Interrupt.
class LeaderLock {
 public:
  explicit LeaderLock(pg::SessionOptions options) : session_(std::move(options)) {}

  // Takes the lock if nobody else has it; connects first if need be. Errors: kDatabase, kConfig.
  Result<bool> Try();
  bool Held() const { return held_; }
  // Waits for a notification up to `timeout`; true = one came. Errors: the session's; the lock is lost then.
  Result<bool> Wait(std::chrono::milliseconds timeout);
  // Gives the lock back by closing its session; the server lets others have it when it has seen that.
  void Release();
  // Wakes Wait from another thread, for good.
  void Interrupt() { session_.Interrupt(); }

 private:
  pg::Session session_;
  bool held_ = false;
};

}  // namespace weir
