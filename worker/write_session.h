#pragma once

#include <memory>
#include <string_view>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::worker {

// What the batch writer asks of one PostgreSQL session. The contracts are those of pg::Session; tests put a
// server of their own behind it. Used by one thread at a time; given back when it dies.
class WriteSession {
 public:
  virtual ~WriteSession() = default;

  virtual Result<pg::Rows> Exec(std::string_view sql, const pg::ParamsList& params,
                                std::string_view name) = 0;
  // Prepares what the SQL of a batch executes: the fence and its guard, and what notes the ids that were met.
  virtual Result<void> PrepareBatch(bool notes_met) = 0;
  virtual Result<void> SubmitFenced(std::string_view sql, std::string_view copy_data) = 0;
  virtual Result<void> Await() = 0;
  virtual bool ResultReady() = 0;
  virtual void Reset() = 0;
  // Only quotes literals.
  virtual const pg::Session& Quoter() const = 0;
};

class WriteSessions {
 public:
  virtual ~WriteSessions() = default;
  // Waits until one is free. Errors: kStopped.
  virtual Result<std::unique_ptr<WriteSession>> Acquire() = 0;
};

// Those of a pool, which outlives it. Thread-safe.
class PooledWriteSessions final : public WriteSessions {
 public:
  explicit PooledWriteSessions(pg::SessionPool* pool) : pool_(pool) {}
  Result<std::unique_ptr<WriteSession>> Acquire() override;

 private:
  pg::SessionPool* pool_;
};

}  // namespace weir::worker
