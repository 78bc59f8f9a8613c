#pragma once

#include <cstdint>
#include <string>

namespace weir {

// A log that is larger than this is cut.
inline constexpr std::uintmax_t kMostLog = 10 << 20;

// Keeps the log of a program that is running bounded: one that has grown over `most` bytes is copied to
// `path`.1, in place of the copy before, and begun again at its beginning. The program must append
// (O_APPEND); a line that it writes meanwhile may be lost. Cheap when there is nothing to do. Without room
// for the copy the log is cut all the same.
void BoundLog(const std::string& path, std::uintmax_t most = kMostLog);

}  // namespace weir
