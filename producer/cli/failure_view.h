#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "common/ledger/failures.h"
#include "producer/cli/output.h"

namespace weir::cli {

// Dead tasks as users see them. The JSON is an interface, as that of a job (producer/cli/job_view.h).

nlohmann::ordered_json FailureJson(const ledger::Failure& failure);
// With what was asked and answered besides.
nlohmann::ordered_json FailureDetailJson(const ledger::Failure& failure);
nlohmann::ordered_json FailureGroupJson(const ledger::FailureGroup& group);

void PrintFailureGroups(const Io& io, const std::vector<ledger::FailureGroup>& groups);
void PrintFailureList(const Io& io, const std::vector<ledger::Failure>& failures);
void PrintFailure(const Io& io, const ledger::Failure& failure);

}  // namespace weir::cli
