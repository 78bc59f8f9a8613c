#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

enum class DriftKind : std::uint8_t {
  kUnknown,  // a field that the table does not know
  kType,     // a known field with a value of another kind
  kMissing,  // a field that every record has
};
std::string_view ToString(DriftKind kind);  // "unknown", "type", "missing"

// What a mapper's records had that its table does not expect: names of fields and kinds of values, never
// values. Holds kMostEntries at most, whatever the upstream makes up. Not thread-safe.
class DriftLog {
 public:
  static constexpr std::size_t kMostEntries = 100;
  static constexpr std::size_t kMaxField = 200;  // bytes of a name

  struct Entry {
    std::string field;  // a path, "players.white.rating"
    DriftKind kind = DriftKind::kUnknown;
    std::string expected, found;  // kinds of values
    std::int64_t count = 0;       // records, or values where an array holds several
  };

  void Add(std::string_view field, DriftKind kind, std::string_view expected, std::string_view found);
  bool Empty() const { return entries_.empty(); }
  const std::vector<Entry>& Entries() const { return entries_; }
  void Clear() { entries_.clear(); }

 private:
  std::vector<Entry> entries_;  // few: looked through one by one
};

}  // namespace weir
