#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/worker_fixture.h"
#include "tests/support/hostile/hostile_upstream.h"

namespace weir::testing {

// Syncs of all three APIs against a hostile upstream, a seed at a time. What must hold after every job:
//   each record is in the table, or was rejected, or its account has not succeeded;
//   no row that the upstream has is stale;
//   the upstream is not asked more than backoff, limits and the attempts of a task allow.
// Once the upstream is good again, one more sync makes the copy whole: nothing counts as read that was not.
class HostileTest : public WorkerFixture {
 protected:
  HostileTest();
  // WEIR_HOSTILE_SEEDS ("17" or "1-50") in place of [first, last].
  void RunSeeds(std::uint64_t first, std::uint64_t last);

 private:
  struct Account {
    std::string source, stream, name, table;
  };
  void RunSeed(std::uint64_t seed);
  std::vector<Account> Make(std::uint64_t seed);
  // New records, removed ones and, where records change, changed ones.
  void ChangeTruth(const Account& account, std::uint64_t seed);
  ledger::JobStatus Run(const Account& account, std::optional<JobMode> mode);
  void Check(const Account& account, const ledger::JobStatus& job, const char* when);
  void CheckRequests(const Account& account, const char* when);
  std::string Story(const Account& account) const;
  // Of the upstream's records (u) with their rows (t).
  std::string CountOf(const Account& account, const std::string& condition);

  sim::HostileUpstream hostile_{upstream_};
  std::unique_ptr<Worker> worker_;  // one for all jobs: its sessions and leases are kept
};

}  // namespace weir::testing
