#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/sources/drift_log.h"
#include "common/sources/field_tree.h"

namespace weir {

// A member of a record, as it stands in its bytes.
struct JsonField {
  using Kind = JsonKind;
  Kind kind = Kind::kAbsent;
  bool escaped = false;   // kString: it holds a backslash
  std::string_view text;  // kString: without its quotes; else as written
};

// Reads one JSON value from its first to its last byte in one pass, without recursion or allocation: checks
// its grammar, that PostgreSQL's jsonb can hold it, and notes the members a FieldTree names. (simdjson's
// On-Demand accepts malformed bytes in what it skips, and its versions differ on lone surrogates; its UTF-8
// check is used by RecordCheck.) Not thread-safe.
class JsonWalker {
 public:
  static constexpr int kMaxDepth = 512;
  // A number is refused if writing it without an exponent takes more digits: 1e131000 in a jsonb reads back
  // as megabytes.
  static constexpr std::int64_t kMaxDigits = 1000;

  // `tree` must outlive the walker; `max_depth` ≤ kMaxDepth.
  JsonWalker(const FieldTree& tree, int max_depth);

  // Walks `json`, which is followed by ≥ 16 readable bytes. nullptr, or why the value is refused. With
  // `until_found` it stops, content, as soon as every field was met. UTF-8 is not checked.
  const char* Walk(std::string_view json, bool until_found = false);
  // Tells `log`, which outlives the walks, what the tree does not expect; nullptr = nobody.
  void Watch(DriftLog* log) { log_ = log; }
  // Valid while the walked bytes live, until the next Walk.
  const JsonField& Field(std::size_t i) const { return fields_[i]; }

 private:
  struct Frame {
    bool object;
    int node;          // of the tree, or kNone
    const char* from;  // its opening bracket
  };

  bool Refuse(const char* why);
  void SkipBlank();
  bool Value(int node);
  bool Open(bool object, int node);
  void Close();
  bool Member();
  bool AfterValue();
  bool String(std::string_view& inner, bool& escaped);
  bool Escape();
  bool Surrogates(std::uint32_t first);
  bool Hex4(std::uint32_t& value);
  bool Number();
  bool Literal(std::string_view word);
  void Note(int node, JsonField::Kind kind, std::string_view text, bool escaped = false);
  int ChildOf(int node, std::string_view key, bool escaped);
  void LogUnknown(int node, std::string_view key);
  void LogKind(int node);
  void LogMissing();

  const FieldTree& tree_;
  const int max_depth_;
  std::vector<JsonField> fields_;
  std::string key_;  // an escaped key's text
  std::array<Frame, kMaxDepth> stack_{};
  int depth_ = 0;
  bool need_value_ = false;  // a value comes next, of node next_node_
  int next_node_ = FieldTree::kNone;
  bool until_found_ = false;
  std::size_t missing_ = 0;  // fields not met yet
  const char* p_ = nullptr;
  const char* end_ = nullptr;
  const char* why_ = nullptr;
  DriftLog* log_ = nullptr;
  std::string path_;  // of an unknown member
};

}  // namespace weir
