#pragma once

#include <cstddef>
#include <string>

#include "common/base/result.h"

namespace weir {

// A text file of the user's.
struct TextFile {
  std::string path;       // "-" = standard input
  std::string what;       // "the accounts file": what errors call it, before its path
  std::size_t max_bytes;  // more is refused, and not read
  std::string hint;       // where it cannot be read or is none
};

// All of it, without the byte order mark that some editors put before UTF-8. A pipe will do. Errors: kConfig:
// it is a folder, cannot be read, is too large, is UTF-16 or otherwise no text (NUL bytes).
Result<std::string> ReadTextFile(const TextFile& file);

}  // namespace weir
