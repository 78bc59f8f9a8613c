#pragma once

// Where records differ from what their stream's table knows (weir.drift): counted, never an error. Holds
// names and kinds of fields, no values.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/pg/session.h"
#include "common/sources/drift_log.h"

namespace weir::ledger {

// Different fields kept for a stream; what comes beyond is counted as the field "…".
inline constexpr int kMostDriftFields = 500;

// Adds to what is stored. One short transaction of its own: a lane that stands still inside a batch must hold
// no row that all lanes write. So a page that is read again is counted again.
Result<void> AddDrift(pg::Session& session, const std::string& source, const std::string& stream,
                      const std::vector<DriftLog::Entry>& entries);

struct DriftRow {
  std::string source, stream, field;
  std::string kind;             // "unknown", "type" or "missing"
  std::string expected, found;  // JSON's kinds of values: "string", "number or null", …; "" where it has none
  std::int64_t count = 0;       // records
  std::string first_seen_at, last_seen_at;  // RFC 3339
};
// Both empty = all. By stream, then the most frequent first.
Result<std::vector<DriftRow>> ListDrift(pg::Session& session, const std::string& source,
                                        const std::string& stream);

}  // namespace weir::ledger
