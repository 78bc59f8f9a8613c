#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/sources/source.h"

namespace weir::worker {

// Up to batch.records records or batch.max_bytes of them, as they came: the unit of commit. Owns their bytes
// in one arena, with simdjson's padding behind the last. One executor's; not thread-safe.
class RecordBatch {
 public:
  struct Record {
    std::size_t begin = 0, size = 0;  // in the arena
    std::int64_t page_position = 0;   // of the record in its page, from 0
    std::int64_t hash = 0;            // XXH3-64 of its bytes as received
    std::int64_t digest = 0;          // of all records of the page up to this one
    RecordHead head;
    std::string bad;       // why it cannot be stored; empty = it can, as far as is known
    bool outside = false;  // outside the job's filter: passed over, not counted
  };

  void Clear();
  void Add(std::string_view raw, Record record);
  bool Empty() const { return records_.empty(); }
  std::size_t Size() const { return records_.size(); }
  std::size_t Bytes() const { return arena_.size() - (arena_.empty() ? 0 : RecordMapper::kRecordPadding); }
  std::string_view Raw(const Record& record) const { return {arena_.data() + record.begin, record.size}; }
  std::vector<Record>& Records() { return records_; }
  const std::vector<Record>& Records() const { return records_; }

 private:
  std::string arena_;
  std::vector<Record> records_;
};

// What a batch became, once committed.
struct BatchCounts {
  std::int64_t fetched = 0, inserted = 0, updated = 0, unchanged = 0, rejected = 0, duplicates = 0;
  void Add(const BatchCounts& other);
};

// XXH3-64 of a record's bytes as received (DESIGN §9: jsonb keeps values, not spelling).
std::int64_t ContentHash(std::string_view raw);
// The digest of a page's records up to one: of their ids, so that it tells of records that moved, not of
// edits.
std::int64_t ExtendDigest(std::int64_t digest, std::string_view id);

}  // namespace weir::worker
