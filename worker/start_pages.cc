#include "worker/start_pages.h"

#include <sys/mman.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace weir::worker {
namespace {

struct Mapping {
  std::uintptr_t begin = 0, end = 0;
  bool clean_file = false;  // of a file, and not writable
};

// "7f12a000-7f12b000 r-xp 00001000 08:01 1234  /usr/lib/…": proc(5).
bool ParseMapping(const std::string& line, Mapping& mapping) {
  char permissions[5] = {};
  int name = 0;
  Mapping found;
  if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %n", &found.begin, &found.end,
                  permissions, &name) < 3) {
    return false;
  }
  found.clean_file = permissions[1] == '-' && permissions[3] == 'p' && name > 0 && line[name] == '/';
  mapping = found;
  return true;
}

}  // namespace

std::size_t ForgetStartPages() {
  std::ifstream smaps("/proc/self/smaps");
  std::size_t bytes = 0;
  Mapping mapping;
  for (std::string line; std::getline(smaps, line);) {
    // A mapping that was written to before it was protected (relocations) has pages of its own: those of a
    // mapping without any can only be the file's.
    if (mapping.clean_file && line.starts_with("Anonymous:") && line.find(" 0 kB") != std::string::npos) {
      const std::size_t size = mapping.end - mapping.begin;
      if (madvise(reinterpret_cast<void*>(mapping.begin), size, MADV_DONTNEED) == 0) bytes += size;
    }
    if (line[0] < 'A' || line[0] > 'Z') ParseMapping(line, mapping);
  }
  return bytes;
}

}  // namespace weir::worker
