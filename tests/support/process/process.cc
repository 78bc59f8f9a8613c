#include "tests/support/process/process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

extern char** environ;

namespace weir::process {
namespace {

constexpr std::size_t kKeep = 16 * 1024 * 1024;

struct Pipe {
  int read = -1, write = -1;
  bool Open() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
};

void Close(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

std::vector<std::string> Environment(const SpawnOptions& options) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = std::min(text.find('='), text.size());
    const std::string name(text.substr(0, equals));
    if (!options.clean_env || name == "PATH" || name == "HOME")
      all[name] = text.substr(std::min(equals + 1, text.size()));
  }
  for (const auto& [name, value] : options.env) all[name] = value;
  std::vector<std::string> list;
  for (const auto& [name, value] : all) {
    const auto set = options.env.find(name);
    if (set == options.env.end() || !set->second.empty()) list.push_back(fmt::format("{}={}", name, value));
  }
  return list;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What the child does between fork and exec: system calls only, since other threads may hold any lock.
struct Child {
  char* const* argv;
  char* const* env;
  const char* cwd;
  int in, out, err, failed;
  bool own_group;
  pid_t parent;

  [[noreturn]] void Exec() const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    if (own_group) ::setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::signal(SIGINT, SIG_DFL);
    ::dup2(in, 0);
    ::dup2(out, 1);
    ::dup2(err, 2);
    if (cwd[0] == '\0' || ::chdir(cwd) == 0) ::execvpe(argv[0], argv, env);
    const int why = errno;
    [[maybe_unused]] const ssize_t n = ::write(failed, &why, sizeof why);
    ::_exit(127);
  }
};

}  // namespace

Result<std::unique_ptr<Process>> Process::Spawn(const SpawnOptions& options) {
  std::vector<std::string> argv = options.argv;
  std::vector<std::string> env = Environment(options);
  if (argv.empty()) return Fail(ErrorClass::kConfig, "no program was named");
  const auto argv_pointers = Pointers(argv);
  const auto env_pointers = Pointers(env);
  Pipe in, out, err, failed;
  if (!in.Open() || !out.Open() || !err.Open() || !failed.Open())
    return Fail(ErrorClass::kInternal, "no more pipes");
  const Child child{
      argv_pointers.data(), env_pointers.data(), options.cwd.c_str(), in.read, out.write, err.write,
      failed.write,         options.own_group,   ::getpid()};
  const pid_t pid = ::fork();
  if (pid == 0) child.Exec();
  for (int* fd : {&in.read, &out.write, &err.write, &failed.write}) Close(*fd);
  int why = 0;
  const bool exec_failed = pid < 0 || ::read(failed.read, &why, sizeof why) == sizeof why;
  Close(failed.read);
  if (exec_failed) {
    for (int* fd : {&in.write, &out.read, &err.read}) Close(*fd);
    if (pid > 0) ::waitpid(pid, nullptr, 0);
    return Fail(ErrorClass::kConfig, fmt::format("cannot run {}: {}", options.argv[0], std::strerror(why)));
  }
  return std::unique_ptr<Process>(
      new Process(pid, out.read, err.read, in.write, options.input, options.own_group));
}

Process::Process(pid_t pid, int out, int err, int in, std::string input, bool own_group)
    : pid_(pid),
      own_group_(own_group),
      out_fd_(out),
      err_fd_(err),
      in_fd_(in),
      wake_fd_(::eventfd(0, EFD_CLOEXEC)),
      input_(std::move(input)) {
  ::fcntl(in_fd_, F_SETFL, O_NONBLOCK);
  reader_ = std::thread([this] { Pump(); });
}

Process::~Process() {
  if (own_group_) SignalGroup(SIGKILL);
  Kill();
  // Its own children may hold the pipes open: the reader is told not to wait for them.
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_fd_, &one, sizeof one);
  reader_.join();
  for (int* fd : {&out_fd_, &err_fd_, &in_fd_, &wake_fd_}) Close(*fd);
}

void Process::Append(std::string& to, std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    to.append(bytes);
    if (to.size() > kKeep) to.erase(0, to.size() - kKeep);
  }
  changed_.notify_all();
}

void Process::Pump() {
  // A pidfd tells of the end even while grandchildren keep the pipes open.
  int pid_fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  std::string_view input = input_;
  bool ended = false;
  while (true) {
    if (input.empty()) Close(in_fd_);
    std::array<pollfd, 5> fds{{{out_fd_, POLLIN, 0},
                               {err_fd_, POLLIN, 0},
                               {in_fd_, POLLOUT, 0},
                               {ended ? -1 : pid_fd, POLLIN, 0},
                               {wake_fd_, POLLIN, 0}}};
    // After its end only what is already in the pipes is still read.
    const int ready = ::poll(fds.data(), fds.size(), ended ? 0 : -1);
    if (ready < 0 && errno == EINTR) continue;
    for (int* fd : {&out_fd_, &err_fd_}) {
      const pollfd& p = fds[fd == &out_fd_ ? 0 : 1];
      if (*fd < 0 || p.revents == 0) continue;
      std::array<char, 64 * 1024> buffer;
      const ssize_t n = ::read(*fd, buffer.data(), buffer.size());
      if (n > 0) Append(fd == &out_fd_ ? out_ : err_, {buffer.data(), static_cast<std::size_t>(n)});
      if (n == 0) Close(*fd);
    }
    if (in_fd_ >= 0 && fds[2].revents != 0) {
      const ssize_t n = ::write(in_fd_, input.data(), input.size());
      input.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : input.size());
    }
    if (ended && fds[0].revents == 0 && fds[1].revents == 0) break;
    if (fds[3].revents != 0 || fds[4].revents != 0) ended = true;
  }
  Close(pid_fd);
  // waitid leaves it a zombie, so that Signal never meets a stranger's pid; it is reaped under the lock.
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  {
    const std::lock_guard lock(mutex_);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    exit_ = WIFEXITED(status) ? Exit{WEXITSTATUS(status), 0} : Exit{-1, WTERMSIG(status)};
  }
  changed_.notify_all();
}

std::string Process::Out() const {
  const std::lock_guard lock(mutex_);
  return out_;
}

std::string Process::Err() const {
  const std::lock_guard lock(mutex_);
  return err_;
}

bool Process::WaitForOutput(const OutputCondition& condition, Millis deadline) const {
  std::unique_lock lock(mutex_);
  bool met = false;
  changed_.wait_for(lock, deadline, [&] { return (met = condition(out_, err_)) || exit_.has_value(); });
  return met;
}

bool Process::WaitForOut(std::string_view text, Millis deadline) const {
  return WaitForOutput(
      [&](const std::string& out, const std::string&) { return out.find(text) != std::string::npos; },
      deadline);
}

bool Process::WaitForErr(std::string_view text, Millis deadline) const {
  return WaitForOutput(
      [&](const std::string&, const std::string& err) { return err.find(text) != std::string::npos; },
      deadline);
}

std::optional<std::string> Process::WaitForLine(std::string_view prefix, Millis deadline) const {
  std::optional<std::string> rest;
  WaitForOutput(
      [&](const std::string& out, const std::string&) {
        for (std::size_t at = 0, end = 0; (end = out.find('\n', at)) != std::string::npos; at = end + 1) {
          if (out.compare(at, prefix.size(), prefix) != 0) continue;
          rest = out.substr(at + prefix.size(), end - at - prefix.size());
          return true;
        }
        return false;
      },
      deadline);
  return rest;
}

std::optional<Exit> Process::Wait(Millis deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, deadline, [&] { return exit_.has_value(); });
  return exit_;
}

bool Process::Running() const {
  const std::lock_guard lock(mutex_);
  return !exit_.has_value();
}

bool Process::Signal(int signal_number) {
  const std::lock_guard lock(mutex_);
  return !exit_ && ::kill(pid_, signal_number) == 0;
}

bool Process::SignalGroup(int signal_number) {
  const std::lock_guard lock(mutex_);
  return !exit_ && own_group_ && ::kill(-pid_, signal_number) == 0;
}

Result<RunResult> RunToEnd(const SpawnOptions& options, Millis deadline) {
  auto process = Process::Spawn(options);
  if (!process) return Fail(process.error());
  const auto exit = (*process)->Wait(deadline);
  if (exit) return RunResult{*exit, (*process)->Out(), (*process)->Err()};
  const std::string err = (*process)->Err();
  return Fail(ErrorClass::kTransient,
              fmt::format("{} still ran after {} ms; its stderr ends: {}", options.argv[0], deadline.count(),
                          err.substr(err.size() - std::min<std::size_t>(err.size(), 2000))));
}

bool WaitUntil(const std::function<bool()>& condition, Millis deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(Millis(10));
  }
  return true;
}

}  // namespace weir::process
