#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/pg/session.h"
#include "common/sources/table_spec.h"
#include "worker/prepared_batch.h"
#include "worker/write_session.h"

namespace weir::worker {

// Finds out what a table holds of a batch's records: their hashes, by which a record is new, changed or
// unchanged. One executor's; not thread-safe.
class StoredLookup {
 public:
  // `ids_at_once`: ids asked for by one statement.
  explicit StoredLookup(int ids_at_once) : ids_at_once_(static_cast<std::size_t>(ids_at_once)) {}

  // The account and the table of a task; `table` outlives its look-ups.
  void Begin(const TableSpec* table, std::string account);
  // Errors: those of WriteSession::Exec.
  Result<void> Run(WriteSession& session, PreparedBatch& batch);

 private:
  Result<void> ByTime(WriteSession& session, PreparedBatch& batch);
  std::string Sql(std::string_view where) const;

  std::size_t ids_at_once_;
  const TableSpec* table_ = nullptr;
  std::string account_;
  bool by_time_pays_ = true;  // the task's records stand together in the index by time
};

}  // namespace weir::worker
