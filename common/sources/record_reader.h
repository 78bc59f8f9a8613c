#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/sources/source.h"

namespace weir {

struct ReaderLimits {
  std::size_t max_record_bytes = 1 << 20;     // more = a bad record
  std::size_t max_envelope_bytes = 64 << 10;  // more = kInvalid
  int max_depth = 512;                        // of the document around the records
};

// Gets the records of a body in order. `raw` is valid during the call only and is followed by ≥
// RecordMapper::kRecordPadding readable bytes. `oversize`: the record was over max_record_bytes and raw holds
// only its first bytes (≤ 1 KiB): reject it. Returning false stops the reading (a limit was reached); an
// Error ends it.
using RecordCallback = std::function<Result<bool>(std::string_view raw, bool oversize)>;

// Cuts a body that arrives in chunks into records, holding one record at most. Not thread-safe.
class RecordReader {
 public:
  virtual ~RecordReader() = default;
  // Feeds the next bytes. True = go on; false = the callback stopped. Errors: the callback's; kTransient when
  // the body is not whole (a line that is no record, a damaged document, an error in place of data); kInvalid
  // when it is something else altogether, or over a cap. A byte order mark before the body is passed over.
  virtual Result<bool> Feed(std::string_view chunk) = 0;
  // At the body's end. Errors: likewise; kTransient too when the document is not complete (a truncated body).
  virtual Result<void> End() = 0;
  // kJsonArray: the document without the array's elements. Valid after End.
  virtual std::string_view Envelope() const = 0;
};

std::unique_ptr<RecordReader> NewNdjsonReader(ReaderLimits limits, RecordCallback callback);
std::unique_ptr<RecordReader> NewJsonArrayReader(std::string record_path, ReaderLimits limits,
                                                 RecordCallback callback);

}  // namespace weir
