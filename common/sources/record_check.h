#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/sources/field_tree.h"
#include "common/sources/json_walker.h"

namespace weir {

// Checks that a record is one JSON object that PostgreSQL's jsonb can hold, to its last byte: grammar, valid
// UTF-8, no U+0000, no lone surrogate, nesting ≤ kMaxRecordDepth, no number over 1,000 digits. Notes the
// fields of its tree on the way. Not thread-safe.
class RecordCheck {
 public:
  static constexpr int kMaxRecordDepth = 256;

  // `tree` must outlive it.
  explicit RecordCheck(const FieldTree& tree) : walker_(tree, kMaxRecordDepth) {}

  // `raw` is followed by ≥ RecordMapper::kRecordPadding readable bytes. Errors: kBadRecord.
  Result<void> Whole(std::string_view raw);
  // Only as far as needed to find every field of the tree; what was read is well-formed, UTF-8 aside.
  // Errors: kBadRecord.
  Result<void> UntilFound(std::string_view raw);
  // Whole and UntilFound tell `log` what the tree does not expect.
  void Watch(DriftLog* log) { walker_.Watch(log); }
  // Of the last record, while its bytes live.
  const JsonField& Field(std::size_t i) const { return walker_.Field(i); }

 private:
  JsonWalker walker_;
};

// The same checks for a document of any kind, without padding. Errors: kInvalid.
Result<void> CheckDocument(std::string_view json, int max_depth);

}  // namespace weir
