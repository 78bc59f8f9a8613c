#pragma once

// Messages of the task topics that could not be read: bytes of someone else, tasks of a version that is
// unknown here. Kept in weir.garbage until they are purged. Any thread that owns the session may call.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// Keeps the first 4 KiB; the same message is kept once.
Result<void> SaveGarbage(pg::Session& session, const std::string& topic, int partition, std::int64_t offset,
                         const std::string& reason, std::string_view body);

struct Garbage {
  std::string topic;
  int partition = 0;
  std::int64_t offset = 0;
  std::string reason;
  std::string created_at;  // RFC 3339
  std::string body_start;  // as it came: any bytes
};
// The newest first.
Result<std::vector<Garbage>> ListGarbage(pg::Session& session, int limit);
Result<std::int64_t> CountGarbage(pg::Session& session);
// Deletes what was kept before `before_ms` (Unix milliseconds), or all. Returns how many.
Result<std::int64_t> PurgeGarbage(pg::Session& session, std::optional<std::int64_t> before_ms);

}  // namespace weir::ledger
