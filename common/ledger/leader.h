#pragma once

#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// The advisory lock that the leading process holds, one a database ("weir" in ASCII).
inline constexpr long kLeaderLock = 2003134834;

// Who holds it, for people: "weir engine web-3 pid 41 at 10.0.0.7"; nothing = nobody leads. What another role
// may not see is left out.
Result<std::optional<std::string>> FindLeader(pg::Session& session);

}  // namespace weir::ledger
