#include "producer/sync/standstill.h"

#include <algorithm>

namespace weir {
namespace {

// Every account that is not done waits for something that it says: a limit, a backoff, the database.
bool Explained(const ledger::JobStatus& job) {
  if (job.state.empty() || job.state == "paused") return true;
  return !job.accounts.empty() &&
         std::all_of(job.accounts.begin(), job.accounts.end(), [](const ledger::AccountStatus& account) {
           return account.Ended() || !account.waiting_for.empty();
         });
}

}  // namespace

bool Standstill::Look(const ledger::JobStatus& job, std::chrono::milliseconds now) {
  if (Explained(job) || job.totals.requests != requests_) {
    requests_ = job.totals.requests;
    since_ = now;
    return false;
  }
  return now - since_ > kNothingYet;
}

}  // namespace weir
