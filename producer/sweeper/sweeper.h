#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"
#include "producer/sweeper/sweep_rule.h"

namespace weir {

// The sweep that follows a full job (DESIGN §8): decides those that ledger::EndJobs made due. The leader's;
// one thread. Safe when two believe they lead: the account's row is locked while it is decided.
class Sweeper {
 public:
  using LimitsOf = std::function<SweepLimits(std::string_view source)>;
  Sweeper(pg::Session& session, const Clock& clock, LimitsOf limits)
      : session_(session), clock_(clock), limits_(std::move(limits)) {}

  // 1. Decides each sweep that is due; one whose rows another sync is writing waits for the next pass, a
  //    minute at most. Returns how many were decided.
  // 2. Now and then, and after each decision: forgets what no sweep rests on.
  Result<int> RunOnce();

 private:
  enum class Turn { kDecided, kBusy };
  Result<Turn> Decide(JobId job, const std::string& account);
  Result<void> Settle(JobId job, const std::string& account);
  Result<void> GiveUp(JobId job, const std::string& account, const std::string& why);

  pg::Session& session_;
  const Clock& clock_;
  LimitsOf limits_;
  std::chrono::milliseconds next_forget_{0};
};

}  // namespace weir
