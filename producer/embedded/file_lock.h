#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace weir {

// Locks on bytes of a file, by open file description (Linux F_OFD_*): the kernel gives them back when their
// holder is gone, however it went, and others can see which bytes are held. A user of WEIR_HOME holds the
// byte of its pid; the supervisor takes all bytes when nobody holds one, and then nobody can come in until it
// has ended.
class FileLock {
 public:
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

  // Holds a byte that tells this process's pid. Nothing when someone holds all. Errors: kConfig (no such
  // folder).
  static Result<std::optional<FileLock>> TryAsUser(const std::string& path);
  // Holds all bytes. Nothing when any is held.
  static Result<std::optional<FileLock>> TryAll(const std::string& path);

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

// The processes that hold a byte (TryAsUser), by pid; empty when the file is not there. A holder of all
// counts as 0.
std::vector<pid_t> LockUsers(const std::string& path);
// Someone holds all bytes.
bool IsLocked(const std::string& path);

}  // namespace weir
