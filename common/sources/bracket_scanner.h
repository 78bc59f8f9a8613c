#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

// Finds where a JSON object or array ends, 64 bytes at a time and across chunks, skipping strings. It counts
// only brackets of the kind it began with, so that a record which is malformed inside still ends where its
// braces say and is rejected alone. It bounds nothing and checks nothing else. Not thread-safe.
class BracketScanner {
 public:
  // Begins a value; the first byte given to Scan is its opening bracket.
  void Start(char open, char close);
  // The byte after the value's end, or nullptr when it does not end before `end`.
  const char* Scan(const char* p, const char* end);

 private:
  const char* ScanBlock(const char* block, const char* p, std::size_t size);

  char open_ = '{';
  char close_ = '}';
  std::uint64_t depth_ = 0;
  std::uint64_t in_string_ = 0;  // all ones while inside a string
  std::uint64_t escaped_ = 0;    // 1 when the next byte is escaped
};

}  // namespace weir
