#pragma once

// Messages of the task topics that could not be read: bytes of someone else, tasks of a version that is
// unknown here. Kept in weir.garbage until they are purged. Any thread that owns the session may call.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// A message of a task topic as it came.
struct RawMessage {
  std::string topic;
  int partition = 0;
  std::int64_t offset = 0;
  std::string key, value;
  std::vector<std::pair<std::string, std::string>> headers;  // name, value

  std::size_t Bytes() const;
};

// Cuts a message to what its dead letter keeps of it: 64 KiB of its value, 4 KiB of its key, 64 headers of 4
// KiB each. Tasks take a few hundred bytes; anyone may write to a topic.
void CutForLetter(RawMessage& message);

// Keeps the first 4 KiB of its value, and what its dead letter needs, which is due from now on; the same
// message is kept once.
Result<void> SaveGarbage(pg::Session& session, const RawMessage& message, const std::string& reason);

// The dead letters of garbage that are still to be sent, the oldest first, at most `limit`.
struct GarbageLetter {
  std::int64_t id = 0;
  RawMessage message;  // as it came, but for CutForLetter
  std::string reason;
};
Result<std::vector<GarbageLetter>> GarbageLettersDue(pg::Session& session, int limit);
// Forgets what only the letters needed.
Result<void> MarkGarbageLettersSent(pg::Session& session, const std::vector<std::int64_t>& ids);

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
