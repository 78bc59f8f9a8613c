#pragma once

#include <fmt/core.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/sources/row_sink.h"
#include "common/sources/table_spec.h"

namespace weir {

// For tests: a row as text, each value with its kind: "text:…", "int:…", "bool:…", "number:…", "time:<ms>",
// "null".
class RowRecorder final : public RowSink {
 public:
  void Null() override { values.emplace_back("null"); }
  void Text(std::string_view utf8) override { values.push_back("text:" + std::string(utf8)); }
  void Int(std::int64_t value) override { values.push_back(fmt::format("int:{}", value)); }
  void Bool(bool value) override { values.push_back(fmt::format("bool:{}", value)); }
  void Number(std::string_view literal) override { values.push_back("number:" + std::string(literal)); }
  void Timestamp(std::int64_t unix_ms) override { values.push_back(fmt::format("time:{}", unix_ms)); }

  std::map<std::string, std::string, std::less<>> ByColumn(const std::vector<Column>& columns) const {
    std::map<std::string, std::string, std::less<>> row;
    for (std::size_t i = 0; i < columns.size() && i < values.size(); ++i) {
      row.emplace(columns[i].name, values[i]);
    }
    return row;
  }

  std::vector<std::string> values;
};

// A record followed by the bytes a mapper may read past its end.
class PaddedRecord {
 public:
  explicit PaddedRecord(std::string_view raw) : size_(raw.size()), bytes_(raw) { bytes_.append(64, '"'); }
  std::string_view View() const { return std::string_view(bytes_).substr(0, size_); }

 private:
  std::size_t size_;
  std::string bytes_;
};

}  // namespace weir
