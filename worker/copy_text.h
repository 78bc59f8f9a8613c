#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/sources/row_sink.h"
#include "worker/copy_format.h"

namespace weir::worker {

// Writes rows in PostgreSQL's COPY text format. Not thread-safe.
class CopyText final : public CopyFormat {
 public:
  explicit CopyText(std::string* out) : out_(out) {}

  void Begin() override {}
  void BeginRow() override { first_ = true; }
  void EndRow() override { *out_ += '\n'; }
  void End() override {}

  void Null() override;
  void Text(std::string_view utf8) override;
  void Int(std::int64_t value) override;
  void Bool(bool value) override;
  void Number(std::string_view literal) override;
  void Timestamp(std::int64_t unix_ms) override;

 private:
  void Separate();
  std::string* out_;
  bool first_ = true;
};

// Collects rows column by column as PostgreSQL array literals, for `unnest`. Not thread-safe.
class ColumnArrays final : public RowSink {
 public:
  explicit ColumnArrays(std::size_t columns) : arrays_(columns) {}

  void BeginRow() { next_ = 0; }
  void Null() override;
  void Text(std::string_view utf8) override;
  void Int(std::int64_t value) override;
  void Bool(bool value) override;
  void Number(std::string_view literal) override;
  void Timestamp(std::int64_t unix_ms) override;

  // "{…}" of column i.
  std::string Literal(std::size_t i) const { return "{" + arrays_[i] + "}"; }
  // Drops the cells of the row that was begun and not completed.
  void Mark();
  void Rollback();

 private:
  std::string& Cell();
  std::vector<std::string> arrays_;
  std::vector<std::size_t> marks_;
  std::size_t next_ = 0;
};

}  // namespace weir::worker
