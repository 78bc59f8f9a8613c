#include "producer/embedded/child_process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "producer/embedded/log_bound.h"

extern char** environ;

namespace weir {
namespace {

// What a program may need that is no setting of weir: where programs and libraries are, the user's language
// and time, what tools look at.
bool ForEveryProgram(std::string_view name) {
  for (const std::string_view known :
       {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "ASAN_OPTIONS", "LSAN_OPTIONS",
        "TSAN_OPTIONS", "UBSAN_OPTIONS", "LLVM_PROFILE_FILE"}) {
    if (name == known) return true;
  }
  return name.starts_with("LC_") || name.starts_with("LD_");
}

std::vector<std::string> EnvironmentOf(const ChildSpec& spec) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    const std::string name = text.substr(0, text.find('='));
    if (spec.environment.contains(name) || (spec.detached && !ForEveryProgram(name))) continue;
    merged.push_back(text);
  }
  for (const auto& [name, value] : spec.environment) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// Between fork and exec only async-signal-safe calls: the parent has threads. Reports the errno of what
// failed through `report`, which exec closes.
[[noreturn]] void Become(const ChildSpec& spec, int output, int report, pid_t parent, char* const* argv,
                         char* const* envp) {
  // 3 and 4 are to be the status pipe and the report: whatever has these numbers now is moved out of their
  // way.
  output = fcntl(output, F_DUPFD, 10);
  report = fcntl(report, F_DUPFD, 10);
  const int status = spec.status_fd >= 0 ? fcntl(spec.status_fd, F_DUPFD, 10) : -1;
  const int null = open("/dev/null", O_RDONLY);
  bool ok = setsid() >= 0 && dup2(null, 0) >= 0 && dup2(output, 1) >= 0 && dup2(output, 2) >= 0 &&
            (status < 0 || dup2(status, 3) >= 0) && dup2(report, 4) >= 0;
  syscall(SYS_close_range, 5U, ~0U, 0U);
  if (status < 0) close(3);
  ok = ok && fcntl(4, F_SETFD, FD_CLOEXEC) == 0;
  if (ok && spec.death_signal != 0) {
    ok = prctl(PR_SET_PDEATHSIG, spec.death_signal) == 0;
    // The parent may have died before the line above.
    if (getppid() != parent) _exit(127);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // What is ignored stays so through exec, also what our own starter ignored. SIGKILL and SIGSTOP cannot be.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  if (ok && spec.detached) ok = chdir("/") == 0;
  if (ok) execve(argv[0], argv, envp);
  const int error = errno;
  [[maybe_unused]] const auto written = write(4, &error, sizeof error);
  _exit(127);
}

}  // namespace

Result<pid_t> Spawn(const ChildSpec& spec) {
  const auto failed = [&](int error) {
    return Fail(ErrorClass::kConfig, fmt::format("cannot start {}: {}", spec.argv[0], std::strerror(error)));
  };
  const std::vector<std::string> environment = EnvironmentOf(spec);
  const std::vector<char*> argv = Pointers(spec.argv), envp = Pointers(environment);
  BoundLog(spec.output_file);
  const int output = open(spec.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (output < 0) {
    return Fail(ErrorClass::kConfig,
                fmt::format("cannot write {}: {}", spec.output_file, std::strerror(errno)));
  }
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    const int error = errno;
    close(output);
    return failed(error);
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(spec, output, report[1], parent, argv.data(), envp.data());
  const int fork_error = errno;
  close(output);
  close(report[1]);
  int error = 0;
  const bool reported = pid > 0 && read(report[0], &error, sizeof error) == sizeof error;
  close(report[0]);
  if (pid < 0) return failed(fork_error);
  if (!reported) return pid;
  waitpid(pid, nullptr, 0);
  return failed(error);
}

std::string OwnProgram() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

Result<std::string> FindProgram(const std::string& name) {
  namespace fs = std::filesystem;
  const std::string beside = (fs::path(OwnProgram()).parent_path() / name).string();
  if (access(beside.c_str(), X_OK) == 0) return beside;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = (fs::path(folder) / name).string();
    if (!folder.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Fail(ErrorClass::kConfig, fmt::format("{} is neither beside {} nor in PATH", name, OwnProgram()),
              "install both programs into one folder");
}

}  // namespace weir
