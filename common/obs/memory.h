#pragma once

#include <cstdint>

namespace weir {

// Bytes of memory this process holds now (Linux: /proc/self/statm); 0 when that cannot be read.
std::int64_t ResidentBytes();

}  // namespace weir
