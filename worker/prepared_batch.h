#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/ledger/tasks.h"
#include "common/sources/source.h"
#include "worker/copy_binary.h"
#include "worker/copy_text.h"
#include "worker/record_batch.h"

namespace weir::worker {

// A batch on its way into the database: its records, what the table holds of them, and both as SQL will take
// them. Pure: bytes in, bytes out. Not thread-safe.
struct PreparedBatch {
  struct Stored {
    std::int64_t hash = 0;
    bool stale = false;
  };

  RecordBatch records;
  std::int64_t max_new = std::numeric_limits<std::int64_t>::max();
  bool lookup = true;
  bool as_text = false;  // the table does not take the binary format of COPY
  int races = 0;         // times another lane had one of its ids first

  // Encoding, made anew by EncodeRows.
  BatchCounts counts;
  std::string copy;                  // new rows, for COPY; empty = there are none
  std::vector<std::string> changed;  // quoted array literals for UpdateSql; empty = nothing changed
  std::vector<ledger::Reject> rejects;
  std::vector<std::string> watch, unwatch;
  // The ids that were met, each once, whatever became of their records; views into `records`.
  std::vector<std::string_view> met;
  bool kept = false;              // some of their rows are left as they are
  bool unnamed = false;           // a record was met of which not even the id is known
  std::int64_t end_position = 0;  // of the page, after this batch
  std::int64_t end_digest = 0;

  void Take(RecordBatch& batch, std::int64_t limit);
  void Clear();
  void ResetEncoding();
  // The last of several records with one id wins (DESIGN §3, Dedupe); the others count as duplicates.
  void DropDuplicates();
  // The look-up, after DropDuplicates. Ids that nobody has found yet, sorted: neighbours in the index are
  // asked for together. Views into `records`.
  std::vector<std::string_view> UnknownIds() const;
  // The table holds the id. True when it is one of the batch's, found for the first time.
  bool Found(std::string_view id, Stored stored);
  // The times of the records to look up, if all have one.
  struct Times {
    std::int64_t first_ms = 0, last_ms = 0;
    std::size_t records = 0;
  };
  std::optional<Times> TimesOfUnknown() const;
  // `page` is noted in rejects.
  void EncodeRows(const TableSpec& table, RecordMapper& mapper, const std::string& account,
                  std::int64_t page);
  void Split(std::size_t middle, PreparedBatch& first, PreparedBatch& second) const;
  // The position in the page where this batch begins; kept for a batch without records.
  void StartAt(std::int64_t position, std::int64_t digest);

 private:
  enum class Fate : std::uint8_t { kPass, kDuplicate, kReject, kNew, kChanged, kUnchanged };
  void Classify();
  void CutAt(std::size_t count);
  bool MapNew(std::size_t index, CopyFormat& out, RecordMapper& mapper, const std::string& account);
  void EncodeNewRows(CopyFormat& out, RecordMapper& mapper, const std::string& account);
  void EncodeChangedRows(const TableSpec& table, RecordMapper& mapper);
  void Note(const RecordBatch::Record& record, const RecordNotes& notes);
  void RejectRecord(std::size_t index, const std::string& reason);
  void Count();
  void Meet();

  std::vector<Fate> fates_;
  std::unordered_map<std::string_view, std::size_t> index_;  // of an id: the record that counts
  std::vector<std::optional<Stored>> stored_;                // by record
  std::int64_t page_ = 0;
};

}  // namespace weir::worker
