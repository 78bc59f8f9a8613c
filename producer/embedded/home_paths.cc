#include "producer/embedded/home_paths.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace weir {

Result<void> HomePaths::Make() const {
  // The private PostgreSQL of root runs as another user, who must be able to pass through.
  const mode_t mode = geteuid() == 0 ? 0755 : 0700;
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(home).parent_path(), error);
  for (const std::string& path : {home, Run(), Log()}) {
    if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) continue;
    return Fail(ErrorClass::kConfig, fmt::format("cannot make {}: {}", path, std::strerror(errno)),
                "choose another place with WEIR_HOME");
  }
  return {};
}

Result<void> SetMark(const std::string& path, bool present) {
  if (!present) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  } else if (const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600); fd >= 0) {
    close(fd);
    return {};
  }
  return Fail(ErrorClass::kConfig,
              fmt::format("cannot {} {}: {}", present ? "make" : "remove", path, std::strerror(errno)));
}

bool HasMark(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace weir
