#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/sources/json_walker.h"
#include "common/sources/row_sink.h"

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

// A record's id: a non-empty string of ≤ 512 bytes of valid UTF-8 without control characters.
std::optional<std::string> AsId(const JsonField& field);

// Fills one row's columns from fields. An optional field of the wrong type is NULL: `raw` keeps it anyway.
// Owns the buffer that escaped texts are decoded into. Not thread-safe.
class ColumnWriter {
 public:
  explicit ColumnWriter(RowSink& row, std::string& scratch) : row_(row), scratch_(scratch) {}

  void Text(const JsonField& field);
  void Text(std::string_view text) { row_.Text(text); }
  void TextOrNull(std::string_view text);
  void Bool(const JsonField& field);
  void Int(const JsonField& field);  // integer column: beyond 32 bits is NULL
  void IntOrNull(std::optional<std::int64_t> value);
  void Time(const JsonField& field, std::int64_t unit_ms = 1);
  void Double(const JsonField& field);  // double precision column: what it cannot hold is NULL
  void Null() { row_.Null(); }

 private:
  RowSink& row_;
  std::string& scratch_;
};

}  // namespace weir
