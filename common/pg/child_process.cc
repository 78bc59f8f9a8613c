#include "common/pg/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "common/base/clock.h"

namespace weir::pg {
namespace {

using Millis = std::chrono::milliseconds;

// Between fork and exec only async-signal-safe calls: the parent has threads. Returns the errno of what
// failed.
int Become(const Identity& id, int output, int death_signal) {
  if (setsid() < 0) return errno;
  const int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) return errno;
  if (geteuid() == 0) {
    if (setgroups(id.groups.size(), id.groups.data()) != 0) return errno;
    if (setgid(id.gid) != 0 || setuid(id.uid) != 0) return errno;
  }
  // After setuid, which would clear it.
  if (death_signal != 0 && prctl(PR_SET_PDEATHSIG, death_signal) != 0) return errno;
  umask(077);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // What is ignored stays so through exec; with SIGCHLD ignored, initdb and the postmaster could not wait for
  // their children. SIGKILL and SIGSTOP cannot be.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  return chdir("/") != 0 ? errno : 0;
}

// Leaves the child nothing of ours but 0, 1, 2, `keep` as 3, and the report pipe, which exec closes.
int CloseFiles(int keep, int report) {
  if (keep == 3 && fcntl(3, F_SETFD, 0) != 0) return errno;
  if (keep >= 0 && keep != 3 && dup2(keep, 3) < 0) return errno;
  syscall(SYS_close_range, keep >= 0 ? 4U : 3U, static_cast<unsigned>(report - 1), 0U);
  syscall(SYS_close_range, static_cast<unsigned>(report + 1), ~0U, 0U);
  return 0;
}

[[noreturn]] void ExecChild(const ChildProcess& child, int output, int report, char* const* argv,
                            char* const* envp) {
  report = fcntl(report, F_DUPFD_CLOEXEC, 10);
  int error = Become(child.identity, output, child.parent_death_signal);
  if (error == 0) error = CloseFiles(child.inherit_fd, report);
  if (error == 0) {
    execve(argv[0], argv, envp);
    error = errno;
  }
  [[maybe_unused]] const auto written = write(report, &error, sizeof error);
  _exit(127);
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

struct Fd {
  int value = -1;
  Fd() = default;
  explicit Fd(int fd) : value(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { Close(); }
  void Close() {
    if (value >= 0) close(value);
    value = -1;
  }
};

std::vector<gid_t> GroupsOf(const char* user, gid_t gid) {
  int count = 0;
  getgrouplist(user, gid, nullptr, &count);
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(count, 1)), gid);
  getgrouplist(user, gid, groups.data(), &count);
  return groups;
}

}  // namespace

Result<Identity> Identity::OfServer() {
  Identity id;
  if (geteuid() != 0) {
    id.uid = geteuid();
    id.gid = getegid();
    return id;
  }
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16 * 1024);
  getpwnam_r("postgres", &entry, buffer.data(), buffer.size(), &found);
  if (!found) {
    return Fail(ErrorClass::kConfig,
                "PostgreSQL does not run as root, and there is no user `postgres` to run it as",
                "apt-get install postgresql");
  }
  id.user = found->pw_name;
  id.uid = found->pw_uid;
  id.gid = found->pw_gid;
  id.groups = GroupsOf(found->pw_name, found->pw_gid);
  return id;
}

std::string Identity::FirstUnreachable(const std::string& path) const {
  std::filesystem::path walked;
  for (const std::filesystem::path& part : std::filesystem::path(path)) {
    walked /= part;
    struct stat st {};
    if (stat(walked.c_str(), &st) != 0) return walked.string();
    const bool in_group =
        st.st_gid == gid || std::find(groups.begin(), groups.end(), st.st_gid) != groups.end();
    const mode_t needed = st.st_uid == uid ? S_IXUSR : in_group ? S_IXGRP : S_IXOTH;
    if (!(st.st_mode & needed)) return walked.string();
  }
  return {};
}

Result<pid_t> ChildProcess::Spawn() const {
  const auto failed = [&](int error) {
    return Fail(ErrorClass::kConfig, fmt::format("cannot run {}: {}", argv.front(), std::strerror(error)));
  };
  const Fd output(open(output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (output.value < 0) {
    return Fail(ErrorClass::kConfig, fmt::format("cannot write {}: {}", output_file, std::strerror(errno)));
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failed(errno);
  const Fd report(ends[0]);
  Fd report_end(ends[1]);
  // No PG… variable of the caller may steer it.
  const std::vector<std::string> environment{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"};
  const std::vector<char*> args = Pointers(argv);
  const std::vector<char*> env = Pointers(environment);
  const pid_t pid = fork();
  if (pid < 0) return failed(errno);
  if (pid == 0) {
    ExecChild(*this, output.value, report_end.value, args.data(), env.data());
  }
  report_end.Close();
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(report.value, &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return pid;  // exec closed the pipe
  waitpid(pid, nullptr, 0);
  return failed(got > 0 ? error : errno);
}

std::optional<int> WaitExit(pid_t pid, Millis timeout) {
  const SystemClock clock;
  const Millis until = clock.Boot() + timeout;
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  while (true) {
    int status = -1;
    const pid_t reaped = waitpid(pid, &status, WNOHANG);
    if (reaped == pid) return status;
    // Not our child, or reaped by someone else: then its existence tells.
    if (reaped < 0 && kill(pid, 0) != 0 && errno == ESRCH) return -1;
    const Millis left = until - clock.Boot();
    if (left <= Millis::zero()) return std::nullopt;
    // A sandbox may forbid pidfds; and another's zombie stays visible until its parent looks.
    pollfd fd{pidfd.value, POLLIN, 0};
    const Millis wait = pidfd.value >= 0 ? left : std::min(left, Millis(20));
    if (poll(&fd, 1, static_cast<int>(wait.count())) > 0 && reaped < 0) return -1;
  }
}

}  // namespace weir::pg
