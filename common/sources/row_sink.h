#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

// Takes the typed columns of one record, in the order of its TableSpec: one call a column. The worker turns
// them into COPY text or into arrays for an upsert. Not thread-safe.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual void Null() = 0;
  virtual void Text(std::string_view utf8) = 0;  // unescaped; never holds U+0000
  virtual void Int(std::int64_t value) = 0;
  virtual void Bool(bool value) = 0;
  virtual void Number(
      std::string_view literal) = 0;  // a JSON number as received, for numeric and double columns
  virtual void Timestamp(std::int64_t unix_ms) = 0;
};

}  // namespace weir
