#pragma once

#include <chrono>

#include "common/pg/session.h"

namespace weir::pg {

// Another statement deadline of a session, for as long as this lives: for what takes long by right.
class DeadlineScope {
 public:
  DeadlineScope(Session& session, std::chrono::milliseconds deadline)
      : session_(session), before_(session.StatementDeadline()) {
    session_.SetStatementDeadline(deadline);
  }
  DeadlineScope(const DeadlineScope&) = delete;
  DeadlineScope& operator=(const DeadlineScope&) = delete;
  ~DeadlineScope() { session_.SetStatementDeadline(before_); }

 private:
  Session& session_;
  std::chrono::milliseconds before_;
};

}  // namespace weir::pg
