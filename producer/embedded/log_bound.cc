#include "producer/embedded/log_bound.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace weir {

void BoundLog(const std::string& path, std::uintmax_t most) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return;
  if (static_cast<std::uintmax_t>(st.st_size) <= most) return;
  std::error_code error;
  const std::string kept = path + ".1";
  std::filesystem::remove(kept, error);
  std::filesystem::copy_file(path, kept, error);
  if (error) std::filesystem::remove(kept, error);
  if (truncate(path.c_str(), 0) != 0) return;  // it is looked at again
}

}  // namespace weir
