#include "common/pg/server_home.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "common/base/clock.h"
#include "common/base/json_text.h"

namespace weir::pg {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSocketName = "/.s.PGSQL.5432";
constexpr std::uintmax_t kFullDisk = 32 << 20;
constexpr int kLookMillis = 20;  // flock has no wait with a deadline

Result<void> MakeFolder(const std::string& path, mode_t mode, bool& made) {
  made = mkdir(path.c_str(), mode) == 0;
  if (!made && errno != EEXIST) {
    return Fail(ErrorClass::kConfig, fmt::format("cannot make {}: {}", path, std::strerror(errno)));
  }
  return {};
}

// Whether one of its command line's arguments is this.
bool HasArgument(pid_t pid, const std::string& wanted) {
  std::istringstream arguments(ReadText(fmt::format("/proc/{}/cmdline", pid)));
  for (std::string argument; std::getline(arguments, argument, '\0');) {
    if (argument == wanted) return true;
  }
  return false;
}

}  // namespace

std::string ReadText(const std::string& path, std::uintmax_t from) {
  std::ifstream in(path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(from));
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

std::uintmax_t SizeOf(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

ServerHome::ServerHome(const std::string& home) {
  std::error_code error;
  // The postmaster's folder is compared by name, and the socket's name hashed: one name for one folder.
  const fs::path real = fs::weakly_canonical(home, error);
  home_ = error ? home : real.string();
  while (home_.size() > 1 && home_.back() == '/') home_.pop_back();
}

std::string ServerHome::Socket() const {
  std::string dir = home_ + "/run/postgres";
  if (dir.size() + kSocketName.size() < sizeof(sockaddr_un::sun_path)) return dir;
  return fmt::format("/tmp/weir-{:016x}", XXH3_64bits(home_.data(), home_.size()));
}

Result<void> ServerHome::MakePrivate(const std::string& path) const {
  bool made = false;
  if (auto r = MakeFolder(path, 0700, made); !r) return r;
  if (made && geteuid() == 0 && lchown(path.c_str(), identity_.uid, identity_.gid) != 0) {
    return Fail(ErrorClass::kConfig,
                fmt::format("cannot give {} to the server's user: {}", path, std::strerror(errno)));
  }
  struct stat st {};
  const bool known = lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
  // Whoever owns the socket's folder can pose as the server: another user's is not taken over.
  if (known && st.st_uid == identity_.uid && (st.st_mode & 077) == 0) return {};
  return Fail(ErrorClass::kConfig,
              fmt::format("{} exists, but not as a folder that only the server's user can enter", path),
              "remove it if nothing uses it, or choose another WEIR_HOME");
}

Result<void> ServerHome::Make() {
  Result<Identity> identity = Identity::OfServer();
  if (!identity) return Fail(identity.error());
  identity_ = std::move(*identity);
  // For root the server's user is another one, who must be able to pass through.
  const mode_t mode = geteuid() == 0 ? 0755 : 0700;
  bool made = false;
  fs::path path;
  for (const fs::path& part : fs::path(home_)) {
    path /= part;
    if (fs::exists(path)) continue;
    if (auto r = MakeFolder(path.string(), mode, made); !r) return r;
  }
  for (const char* name : {"/run", "/log"}) {
    if (auto r = MakeFolder(home_ + name, mode, made); !r) return r;
  }
  if (const std::string closed = identity_.FirstUnreachable(home_ + "/run"); !closed.empty()) {
    return Fail(ErrorClass::kConfig,
                fmt::format("PostgreSQL cannot work under {}: its user may not enter {}", home_, closed),
                "choose another WEIR_HOME, e.g. /var/lib/weir");
  }
  return MakePrivate(Socket());
}

Result<int> ServerHome::Lock(const std::string& path, Millis timeout, const std::string& busy) const {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return Fail(ErrorClass::kConfig, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  }
  const SystemClock clock;
  const Millis until = clock.Boot() + timeout;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (clock.Boot() >= until) {
      close(fd);
      return Fail(ErrorClass::kDatabase, busy);
    }
    poll(nullptr, 0, kLookMillis);
  }
  return fd;
}

Result<int> ServerHome::LockTurn(Millis timeout) const {
  return Lock(home_ + "/postgres.lock", timeout,
              fmt::format("another process keeps starting or stopping the database of {}", home_));
}

Result<int> ServerHome::LockData(Millis timeout) const {
  return Lock(
      home_ + "/postgres.inuse", timeout,
      fmt::format("a PostgreSQL that is not visible here (another container?) holds the data of {}", home_));
}

bool ServerHome::DataHeld() const {
  const int fd = open((home_ + "/postgres.inuse").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(fd);
  return held;
}

pid_t ServerHome::RunningPid() const {
  pid_t pid = 0;
  std::istringstream(ReadText(Data() + "/postmaster.pid")) >> pid;
  if (pid <= 1) return 0;
  // A postmaster stands in its data folder; another process that got a dead one's number does not.
  std::error_code error;
  const fs::path cwd = fs::read_symlink(fmt::format("/proc/{}/cwd", pid), error);
  if (!error) return cwd == fs::path(Data()) ? pid : 0;
  // Root without CAP_SYS_PTRACE, as in Docker, may not look at another user's. Its command line it may read.
  const bool hidden = error == std::errc::permission_denied || error == std::errc::operation_not_permitted;
  return hidden && HasArgument(pid, Data()) && DataHeld() ? pid : 0;
}

Result<void> ServerHome::AppendToOwn(const std::string& path, std::string_view text) const {
  const auto failed = [&](const char* why) {
    return Fail(ErrorClass::kConfig, fmt::format("cannot write {}: {}", path, why));
  };
  // Not waiting for the reader of a pipe.
  const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return failed(std::strerror(errno));
  struct stat st {};
  const bool own =
      fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == identity_.uid && st.st_nlink == 1;
  const bool done = own && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = own ? errno : 0;
  if (close(fd) == 0 && done) return {};
  return failed(own ? std::strerror(error) : "it is not a plain file of the server's user");
}

Error ServerHome::Explain(const std::string& what, const std::string& log, std::uintmax_t from) const {
  struct statvfs disk {};
  if (statvfs(home_.c_str(), &disk) == 0) {
    const std::uintmax_t left = static_cast<std::uintmax_t>(disk.f_bavail) * disk.f_frsize;
    if (left < kFullDisk) {
      return MakeError(ErrorClass::kDatabase,
                       fmt::format("{}: the disk of {} is full ({} MiB left)", what, home_, left >> 20),
                       "free disk space, or choose another WEIR_HOME");
    }
  }
  std::string said;
  std::istringstream lines(ReadText(log, from));
  for (std::string line; std::getline(lines, line);) {
    const bool grave = line.find("FATAL:") != std::string::npos || line.find("PANIC:") != std::string::npos ||
                       line.find("error:") != std::string::npos;
    if (grave) said = line;
  }
  if (said.empty()) said = "it did not answer in time";
  return MakeError(ErrorClass::kDatabase, fmt::format("{}: {}", what, Printable(said, 300)),
                   fmt::format("see {}", log));
}

}  // namespace weir::pg
