#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/secret.h"
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

  static constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

  RecordBatch records;
  // So many new records are taken, and what comes before the last of them; the rest stays in `records`: the
  // batch may have to be written again, when fewer of them are new.
  std::int64_t max_new = kNoLimit;
  bool lookup = true;
  bool as_text = false;    // the table does not take the binary format of COPY
  int races = 0;           // times another lane had one of its ids first
  bool contended = false;  // it was written again since others were at the same rows
  const std::map<std::string, Secret>* secrets = nullptr;  // kept out of rejects; may be none

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
  // The last of several records with one id wins (DESIGN §3, Dedupe), of those that are taken; the others
  // count as duplicates.
  void DropDuplicates();
  // Records that EncodeRows took: all, or as many as max_new lets through.
  std::size_t Taken() const { return taken_; }
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
  // Records [begin, end) as a batch of their own, to be encoded.
  void CopyTo(std::size_t begin, std::size_t end, PreparedBatch& part) const;
  // The position in the page where this batch begins; kept for a batch without records.
  void StartAt(std::int64_t position, std::int64_t digest);

 private:
  enum class Fate : std::uint8_t { kPass, kDuplicate, kReject, kNew, kChanged, kUnchanged };
  void ClearRows();
  void Settle();
  bool IsKnown(std::size_t index) const { return stored_[first_of_[index]].has_value(); }
  void EncodeTaken(const TableSpec& table, RecordMapper& mapper, const std::string& account);
  void EncodeUpTo(const TableSpec& table, RecordMapper& mapper, const std::string& account);
  bool MapNew(std::size_t index, CopyFormat& out, RecordMapper& mapper, const std::string& account);
  void EncodeNewRows(CopyFormat& out, RecordMapper& mapper, const std::string& account);
  void EncodeChangedRows(const TableSpec& table, RecordMapper& mapper);
  void Note(const RecordBatch::Record& record, const RecordNotes& notes);
  void RejectRecord(std::size_t index, const std::string& reason);
  void Count();
  void Meet();

  std::vector<Fate> fates_;
  std::size_t taken_ = 0;
  std::unordered_map<std::string_view, std::size_t> index_;  // of an id: the first record that has it
  std::vector<std::size_t> first_of_;                        // by record: the first one with its id
  std::vector<std::optional<Stored>> stored_;                // by the first record that has the id
  std::int64_t page_ = 0;
};

}  // namespace weir::worker
