#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::pg {

// Whether a server, as database.url reaches it, can serve weir at all. Each call runs a statement or two on
// the session, outside of a transaction. Errors: kConfig with what to change, so that nothing is begun that
// would only wait; and what the session itself says.

// The database is UTF8, and a connection is a session: its locks, its prepared statements and what it listens
// to are there in its next transaction. A pooler that hands out connections by transaction keeps none of
// them.
Result<void> CheckServer(Session& session);

// Transactions may write: no hot standby, no read-only default.
Result<void> CheckWritable(Session& session);

// How many connections the user of the session may have at a time, by the narrowest of the server's, the
// database's and the role's own limit, and how many there are now.
struct ConnectionLimit {
  std::int64_t most = 0;
  std::int64_t used = 0;
  std::string of;  // "the server", "database d", "role r"
};
Result<ConnectionLimit> ReadConnectionLimit(Session& session);
// The one of these limits that has no room left, whoever uses it up; none = each has room.
Result<std::optional<ConnectionLimit>> FindFullLimit(Session& session);

// `who` needs up to `full` connections and cannot work with fewer than `least`: kConfig if the limit is below
// `least`. Returns a warning if it is below `full`, else "".
Result<std::string> CheckConnections(Session& session, std::string_view who, int least, int full);

}  // namespace weir::pg
