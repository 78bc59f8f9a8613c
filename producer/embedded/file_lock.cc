#include "producer/embedded/file_lock.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weir {
namespace {

// Linux's largest pid. A process in another container may have our pid: it gets a byte of the next block.
constexpr off_t kPids = 1 << 22;
constexpr int kBlocks = 64;

Result<int> Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  return Fail(ErrorClass::kConfig, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
}

struct flock Range(off_t start, off_t length) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = start;
  range.l_len = length;  // 0 = to the end of all files
  return range;
}

// The bytes held within [start, end), end 0 = all; the kernel names one lock at a time, in no order.
void Collect(int fd, off_t start, off_t end, std::vector<pid_t>& users) {
  struct flock range = Range(start, end == 0 ? 0 : end - start);
  if (fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type == F_UNLCK) return;
  if (range.l_len == 0) {
    users.push_back(0);
    return;
  }
  users.push_back(static_cast<pid_t>(range.l_start % kPids));
  if (range.l_start > start) Collect(fd, start, range.l_start, users);
  const off_t next = range.l_start + range.l_len;
  if (end == 0 || next < end) Collect(fd, next, end, users);
}

}  // namespace

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

Result<std::optional<FileLock>> FileLock::TryAsUser(const std::string& path) {
  auto fd = Open(path);
  if (!fd) return Fail(fd.error());
  FileLock lock(*fd);
  for (int block = 0; block < kBlocks; ++block) {
    struct flock range = Range(block * kPids + getpid(), 1);
    if (fcntl(*fd, F_OFD_SETLK, &range) == 0) return std::optional<FileLock>(std::move(lock));
  }
  return std::optional<FileLock>();
}

Result<std::optional<FileLock>> FileLock::TryAll(const std::string& path) {
  auto fd = Open(path);
  if (!fd) return Fail(fd.error());
  FileLock lock(*fd);
  struct flock range = Range(0, 0);
  if (fcntl(*fd, F_OFD_SETLK, &range) == 0) return std::optional<FileLock>(std::move(lock));
  return std::optional<FileLock>();
}

std::vector<pid_t> LockUsers(const std::string& path) {
  std::vector<pid_t> users;
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return users;
  Collect(fd, 0, 0, users);
  close(fd);
  std::sort(users.begin(), users.end());
  return users;
}

bool IsLocked(const std::string& path) {
  const auto users = LockUsers(path);
  return users.size() == 1 && users.front() == 0;
}

}  // namespace weir
