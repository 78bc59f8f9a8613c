#pragma once

#include <string>
#include <vector>

#include "common/sources/row_sink.h"

namespace weir::probe {

// One record's columns as text for people, in their order; NULL is "".
class PreviewRow final : public RowSink {
 public:
  void Null() override { values_.emplace_back(); }
  void Text(std::string_view utf8) override { values_.emplace_back(utf8); }
  void Int(std::int64_t value) override;
  void Bool(bool value) override { values_.emplace_back(value ? "true" : "false"); }
  void Number(std::string_view literal) override { values_.emplace_back(literal); }
  void Timestamp(std::int64_t unix_ms) override;

  std::vector<std::string> Take() { return std::move(values_); }

 private:
  std::vector<std::string> values_;
};

}  // namespace weir::probe
