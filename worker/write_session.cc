#include "worker/write_session.h"

#include <utility>

#include "common/ledger/seen.h"
#include "common/ledger/tasks.h"

namespace weir::worker {
namespace {

class PooledWriteSession final : public WriteSession {
 public:
  explicit PooledWriteSession(pg::SessionPool::Lease lease) : lease_(std::move(lease)) {}

  Result<pg::Rows> Exec(std::string_view sql, const pg::ParamsList& params, std::string_view name) override {
    return lease_->Exec(sql, params, name);
  }
  Result<void> PrepareBatch(bool notes_met) override {
    if (auto ok = ledger::PrepareFence(*lease_); !ok) return ok;
    return notes_met ? ledger::PrepareSeen(*lease_) : Result<void>();
  }
  Result<void> SubmitFenced(std::string_view sql, std::string_view copy_data) override {
    return lease_->SubmitFenced(sql, copy_data);
  }
  Result<void> Await() override { return lease_->Await(); }
  bool ResultReady() override { return lease_->ResultReady(); }
  void Reset() override { lease_->Reset(); }
  const pg::Session& Quoter() const override { return *lease_; }

 private:
  pg::SessionPool::Lease lease_;
};

}  // namespace

Result<std::unique_ptr<WriteSession>> PooledWriteSessions::Acquire() {
  auto lease = pool_->Acquire();
  if (!lease) return Fail(lease.error());
  return std::make_unique<PooledWriteSession>(std::move(*lease));
}

}  // namespace weir::worker
