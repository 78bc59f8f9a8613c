#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/ledger/known_account.h"
#include "producer/cli/output.h"
#include "producer/cli/sync_options.h"
#include "producer/probe/prober.h"

namespace weir::probe {

// What a sync of one account would take.
struct AccountPlan {
  std::string account;
  std::string meter;
  int lanes = 1;
  JobMode mode = JobMode::kFull;
  std::int64_t tasks = 0;
  PlanEstimate estimate;       // with the request that asks what there is
  std::optional<Error> error;  // it could not be planned
};

struct PlanTotals {
  std::int64_t tasks = 0, requests = 0;
  std::optional<std::int64_t> records;  // nothing = unknown for some account
  std::chrono::milliseconds time{
      0};  // meters run side by side, the accounts of one after each other on its lanes
};

// Asks the upstream what there is and plans from it, as a worker would. `known`: what the ledger has of the
// account. Errors: as Prober, the source's own.
Result<AccountPlan> PlanAccount(Prober& prober, const Source& source, const AccountSettings& account,
                                const cli::SyncOptions& options,
                                const std::optional<ledger::KnownAccount>& known);

// Of the accounts that could be planned.
PlanTotals TotalsOf(const std::vector<AccountPlan>& plans);
nlohmann::ordered_json PlanJson(const cli::SyncOptions& options, const std::vector<AccountPlan>& plans);
void PrintPlan(const cli::Io& io, const std::vector<AccountPlan>& plans);

}  // namespace weir::probe
