#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/sources/drift_log.h"
#include "common/sources/json_walker.h"
#include "common/sources/row_sink.h"
#include "common/sources/table_spec.h"

namespace weir {

// The earliest and latest time a record may name: years 1970 to 9999, which any timestamptz holds.
constexpr std::int64_t kMinRecordMs = 0;
constexpr std::int64_t kMaxRecordMs = 253'402'300'799'999;

// A field as a value; nullopt when it is absent, null or of another type.
std::optional<std::int64_t> AsInt(const JsonField& field);
std::optional<bool> AsBool(const JsonField& field);
// `scratch` holds the text when it has escapes; the view lives as long as it and the record.
std::optional<std::string_view> AsText(const JsonField& field, std::string& scratch);
// Milliseconds since the epoch, of a number of `unit_ms` each (1 or 1000), within the range above.
std::optional<std::int64_t> AsTime(const JsonField& field, std::int64_t unit_ms = 1);

// True for non-empty text of ≤ `max_bytes` that any database, header and terminal takes: valid UTF-8 without
// control characters.
bool IsPlainText(std::string_view text, std::size_t max_bytes);

// A record's id: a non-empty string of ≤ 512 bytes of valid UTF-8 without control characters.
std::optional<std::string> AsId(const JsonField& field);

// Fills one row's columns from fields, a call a column, in the order of `columns`. An optional field of the
// wrong kind is NULL: `raw` keeps it anyway. So is a number that its column's type does not hold, and `drift`
// notes that, by the column's name. `scratch` holds texts that had escapes. Not thread-safe.
class ColumnWriter {
 public:
  // All outlive it; `drift` may be none.
  ColumnWriter(RowSink& row, std::string& scratch, const std::vector<Column>& columns, DriftLog* drift)
      : row_(row), scratch_(scratch), columns_(columns), drift_(drift) {}

  void Text(const JsonField& field);
  void Text(std::string_view text);
  void TextOrNull(std::string_view text);
  void Bool(const JsonField& field);
  void Int(const JsonField& field);  // smallint, integer or bigint column
  void IntOrNull(std::optional<std::int64_t> value);
  void Time(const JsonField& field, std::int64_t unit_ms = 1);
  void TimeOrNull(std::optional<std::int64_t> unix_ms);
  void Double(const JsonField& field);  // double precision column
  void Numeric(
      const JsonField& field);         // numeric column, which takes any number that RecordCheck lets through
  void Array(const JsonField& field);  // jsonb column: an array as it stands in the record
  void Null();

 private:
  void NullThatDoesNotFit();

  RowSink& row_;
  std::string& scratch_;
  const std::vector<Column>& columns_;
  DriftLog* drift_;
  std::size_t next_ = 0;  // column
};

}  // namespace weir
