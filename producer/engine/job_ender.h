#pragma once

#include <map>
#include <string>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir {

// Starts, expires and ends accounts and jobs (ledger::EndJobs). One thread; the leader's.
class JobEnder {
 public:
  explicit JobEnder(pg::Session& session) : session_(session) {}

  // One pass; returns how many jobs ended. A job that cannot be ended is logged when its trouble begins or
  // changes, and tried again by each pass; the others end all the same.
  Result<int> RunOnce();

 private:
  pg::Session& session_;
  std::map<std::int64_t, std::string> troubles_;  // what was logged, by job; of jobs that still fail
};

}  // namespace weir
