#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "worker/write_session.h"

namespace weir::worker::testing {

// A batch as it was sent, read back from its SQL and its COPY.
struct SentBatch {
  std::string sql;
  bool as_text = false;
  std::vector<std::pair<std::string, std::int64_t>> copied;   // id and content hash, in the order they came
  std::vector<std::pair<std::string, std::int64_t>> updated;  // the same, of changed rows
  std::set<std::pair<std::int64_t, std::int64_t>> rejects;    // page and position
  // What the fence was called with.
  std::int64_t page = 0, position = 0, digest = 0, pages = 0;
  std::int64_t fetched = 0, inserted = 0, updates = 0, unchanged = 0, rejected = 0, duplicates = 0;
  std::int64_t requests = 0;
  bool done = false;

  bool Copies(std::string_view id) const;
};

// What BatchWriter sees of a server that holds one account's table. Batches are atomic, a second row of an id
// is a unique violation, and an update that finds another hash than it expected is one too. Tests look into
// it, and put errors in its way. Outlives its sessions. Not thread-safe.
class FakeDatabase {
 public:
  struct Row {
    std::int64_t hash = 0;
    bool stale = false;
  };
  std::map<std::string, Row, std::less<>> rows;
  std::set<std::pair<std::int64_t, std::int64_t>> rejects;  // page and position
  std::vector<SentBatch> committed;
  std::vector<SentBatch> refused;
  int lookups = 0, resets = 0, acquired = 0, open = 0;
  bool ready = true;  // what WriteSession::ResultReady says of a pending batch

  // Asked before a batch is looked at: an error refuses it, when it is sent or when it is awaited.
  std::function<std::optional<Error>(const SentBatch&)> at_submit, at_commit;
  std::function<std::optional<Error>(std::string_view sql)> at_exec;
  std::optional<Error> at_acquire;

  std::unique_ptr<WriteSessions> Sessions();
  // The sums of what was committed.
  SentBatch Totals() const;

 private:
  friend class FakeSession;
  Result<void> Commit(const SentBatch& batch);
  Result<pg::Rows> Exec(std::string_view sql, const pg::ParamsList& params);
};

Error DataError(std::string sqlstate, std::string message = "PostgreSQL refused the data");

}  // namespace weir::worker::testing
