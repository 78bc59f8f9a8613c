#pragma once

// The SQL of a FailureFilter, for the listing and the replay of dead tasks.

#include <string_view>

#include "common/ledger/failures.h"
#include "common/pg/session.h"

namespace weir::ledger {

// "from … where …" with FailureParams as $1 to $7: tasks as t, jobs as j.
inline constexpr std::string_view kDeadSql =
    "from weir.tasks t join weir.jobs j on j.id = t.job_id where t.state = 'dead' "
    "and ($1::int8 is null or t.job_id = $1::int8) and ($2::int8 is null or t.id = $2::int8) "
    "and ($3 = '' or coalesce(t.error_class, '') = $3) and ($4 = '' or j.source = $4) "
    "and ($5 = '' or lower(t.account) = lower($5)) "
    "and ($6::int8 is null or t.finished_at >= to_timestamp($6::int8 / 1000.0)) "
    "and ($7::int8 is null or t.finished_at < to_timestamp($7::int8 / 1000.0))";
pg::ParamsList FailureParams(const FailureFilter& filter);

// A job or task that was named must exist.
Result<void> CheckNamed(pg::Session& session, const FailureFilter& filter);

}  // namespace weir::ledger
