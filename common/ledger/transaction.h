#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// One transaction on a session: rolled back when it goes out of scope without Commit, so that an early return
// leaves nothing half done. The session takes no other transaction meanwhile.
class Transaction {
 public:
  explicit Transaction(pg::Session& session) : session_(session) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() {
    if (!open_) return;
    // A connection that cannot roll back is dropped, and the server rolls back by itself.
    if (!session_.Script("rollback")) session_.Reset();
  }

  // `settings`: statements that follow `begin`, e.g. "set local …".
  Result<void> Begin(std::string_view settings = {}) {
    auto begun = session_.Script(settings.empty() ? std::string("begin") : "begin; " + std::string(settings));
    if (!begun) return Fail(begun.error());
    open_ = true;
    return {};
  }

  Result<void> Commit() {
    open_ = false;
    auto done = session_.Script("commit");
    if (!done) return Fail(done.error());
    return {};
  }

 private:
  pg::Session& session_;
  bool open_ = false;
};

}  // namespace weir::ledger
