#include "producer/embedded/supervisor.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "common/kafka/embedded_broker.h"
#include "common/obs/log.h"
#include "producer/embedded/child_process.h"
#include "producer/embedded/log_bound.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRound{100};
constexpr milliseconds kBrokerStart{15'000};
constexpr milliseconds kBoundLogsEvery{1'000};

pg::EmbeddedPostgresOptions PostgresOptions(const std::string& home) {
  pg::EmbeddedPostgresOptions options;
  options.home = home;
  return options;
}

// Waits up to `timeout` for a child's end; true = it is gone.
bool Reap(pid_t pid, milliseconds timeout, const Clock& clock) {
  const milliseconds until = clock.Boot() + timeout;
  for (;;) {
    const pid_t done = waitpid(pid, nullptr, WNOHANG);
    if (done == pid || (done < 0 && errno == ECHILD)) return true;
    if (clock.Boot() >= until) return false;
    usleep(10'000);
  }
}

volatile sig_atomic_t stop_requested = 0;

void InstallStopHandler() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested = 1; };
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGTERM, SIGINT}) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
}

}  // namespace

Supervisor::Supervisor(HomePaths paths, std::string program, int status_fd, const Clock& clock)
    : paths_(std::move(paths)),
      program_(std::move(program)),
      status_fd_(status_fd),
      clock_(clock),
      postgres_(PostgresOptions(paths_.home)),
      backoff_(milliseconds(100), milliseconds(5'000), static_cast<std::uint64_t>(getpid())) {}

Supervisor::~Supervisor() {
  if (broker_ > 0) kill(broker_, SIGKILL);
}

Result<bool> Supervisor::Lead() {
  if (auto made = paths_.Make(); !made) return Fail(made.error());
  auto lock = FileLock::TryAll(paths_.SupervisorLock());
  if (!lock) return Fail(lock.error());
  lock_ = std::move(*lock);
  if (!lock_) return false;
  // What a killed one left behind tells of things that are not there any more.
  unlink(paths_.Endpoints().c_str());
  unlink(paths_.BrokerAddress().c_str());
  endpoints_.supervisor = getpid();
  return true;
}

Result<bool> Supervisor::RunOnce() {
  if (clock_.Boot() >= retry_at_) KeepParts();
  BoundLogs();
  if (HasMark(paths_.Keep())) return true;
  auto users = FileLock::TryAll(paths_.UsersLock());
  if (!users) return Fail(users.error());
  users_ = std::move(*users);
  return !users_;
}

void Supervisor::KeepParts() {
  const int failures = failures_;
  if (HasMark(paths_.WantPostgres())) {
    auto kept = KeepPostgres();
    if (!kept) PartFailed(kept.error(), !endpoints_.database_url.empty(), paths_.WantPostgres());
    Publish();
  }
  if (HasMark(paths_.WantBroker())) {
    auto kept = KeepBroker();
    if (!kept) PartFailed(kept.error(), !endpoints_.brokers.empty(), paths_.WantBroker());
    Publish();
  }
  if (failures_ == failures) failures_ = 0;
}

void Supervisor::PartFailed(const Error& error, bool ran_before, const std::string& mark) {
  LogError(LogLevel::kError, "a part could not be started", error, {{"again", ran_before}});
  if (ran_before) {
    retry_at_ = clock_.Boot() + backoff_.Wait(++failures_);
    return;
  }
  endpoints_.error = error.message;
  endpoints_.hint = error.hint;
  Publish();
  unlink(mark.c_str());
}

Result<void> Supervisor::KeepPostgres() {
  if (!endpoints_.database_url.empty() && postgres_.RunningPid() != 0) return {};
  // One that we started and that died is a zombie until it is waited for, and a new postmaster takes a zombie
  // for a living one.
  if (postmaster_ > 0) waitpid(postmaster_, nullptr, WNOHANG);
  const bool first = endpoints_.database_url.empty();
  if (access(postgres_.home().Data().c_str(), F_OK) != 0) {
    Tell("first use: making a private PostgreSQL in " + postgres_.home().Data());
  } else if (first) {
    Tell("starting the private PostgreSQL");
  }
  auto url = postgres_.Start();
  if (!url) return Fail(url.error());
  postmaster_ = postgres_.RunningPid();
  Log(first ? LogLevel::kInfo : LogLevel::kWarn,
      first ? "PostgreSQL runs" : "PostgreSQL was gone; it runs again",
      {{"pid", postmaster_}, {"adopted", postgres_.adopted()}});
  endpoints_.database_url = *url;
  return {};
}

Result<void> Supervisor::KeepBroker() {
  if (broker_ > 0 && waitpid(broker_, nullptr, WNOHANG) == 0) return {};
  if (broker_ > 0) Log(LogLevel::kWarn, "the broker was gone; starting another", {{"pid", broker_}});
  broker_ = 0;
  return StartBroker();
}

Result<void> Supervisor::StartBroker() {
  unlink(paths_.BrokerAddress().c_str());
  ChildSpec spec;
  spec.argv = {program_, "broker", "--address-file", paths_.BrokerAddress()};
  spec.output_file = paths_.BrokerLog();
  spec.death_signal = SIGKILL;
  auto pid = Spawn(spec);
  if (!pid) return Fail(pid.error());
  broker_ = *pid;
  const milliseconds until = clock_.Boot() + kBrokerStart;
  while (access(paths_.BrokerAddress().c_str(), F_OK) != 0) {
    if (waitpid(broker_, nullptr, WNOHANG) != 0 || clock_.Boot() >= until) {
      kill(broker_, SIGKILL);
      Reap(broker_, milliseconds(1'000), clock_);
      broker_ = 0;
      return Fail(ErrorClass::kBroker, "the embedded broker did not start", "see " + paths_.BrokerLog());
    }
    usleep(10'000);
  }
  Log(LogLevel::kInfo, "the embedded broker runs", {{"pid", broker_}});
  endpoints_.brokers = "file:" + paths_.BrokerAddress();
  return {};
}

void Supervisor::Publish() {
  if (endpoints_ == published_) return;
  auto written = WriteEndpoints(paths_.Endpoints(), endpoints_);
  if (!written) return LogError(LogLevel::kError, "cannot say what runs", written.error());
  published_ = endpoints_;
}

void Supervisor::Stop() {
  unlink(paths_.Endpoints().c_str());
  if (broker_ > 0) {
    kill(broker_, SIGTERM);
    if (!Reap(broker_, milliseconds(2'000), clock_)) kill(broker_, SIGKILL);
    broker_ = 0;
  }
  unlink(paths_.BrokerAddress().c_str());
  if (!endpoints_.database_url.empty()) {
    auto stopped = postgres_.Stop();
    if (!stopped) LogError(LogLevel::kError, "PostgreSQL did not stop", stopped.error());
  }
  // Who uses them still wants them: they are for the next supervisor, which a user starts.
  if (NobodyUsesThem()) {
    for (const std::string& mark : {paths_.WantPostgres(), paths_.WantBroker()}) unlink(mark.c_str());
  }
  Log(LogLevel::kInfo, "the supervisor ends");
  lock_.reset();
  users_.reset();
}

bool Supervisor::NobodyUsesThem() {
  if (users_) return true;
  auto users = FileLock::TryAll(paths_.UsersLock());
  if (users) users_ = std::move(*users);
  return users_.has_value();
}

void Supervisor::BoundLogs() {
  if (clock_.Boot() < bound_logs_at_) return;
  bound_logs_at_ = clock_.Boot() + kBoundLogsEvery;
  for (const std::string& log : {paths_.SupervisorLog(), paths_.BrokerLog(), postgres_.home().Log()})
    BoundLog(log);
}

void Supervisor::Tell(std::string_view progress) {
  if (status_fd_ < 0) return;
  const std::string line = std::string(progress) + '\n';
  // A starter that has gone needs no telling (SIGPIPE is ignored).
  if (write(status_fd_, line.data(), line.size()) < 0) status_fd_ = -1;
}

int RunSupervisor(const std::string& home, int status_fd) {
  InstallStopHandler();
  const SystemClock clock;
  Supervisor supervisor(HomePaths{home}, OwnProgram(), status_fd, clock);
  auto leads = supervisor.Lead();
  if (!leads) {
    LogError(LogLevel::kError, "the supervisor cannot start", leads.error());
    return 1;
  }
  if (!*leads) return 0;
  int code = 0;
  while (stop_requested == 0) {
    auto goes_on = supervisor.RunOnce();
    if (!goes_on) {
      LogError(LogLevel::kError, "the supervisor gives up", goes_on.error());
      code = 1;
    }
    if (!goes_on || !*goes_on) break;
    usleep(static_cast<useconds_t>(kRound.count() * 1000));
  }
  supervisor.Stop();
  return code;
}

int RunBroker(const std::string& address_file) {
  InstallStopHandler();
  // Blocked but while it waits, so that none comes between the look and the wait; the broker's threads
  // inherit that.
  sigset_t stops, none;
  sigemptyset(&none);
  sigemptyset(&stops);
  for (const int number : {SIGTERM, SIGINT}) sigaddset(&stops, number);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);
  auto broker = kafka::EmbeddedBroker::Start(address_file);
  if (!broker) {
    LogError(LogLevel::kError, "the embedded broker cannot start", broker.error());
    return 1;
  }
  Log(LogLevel::kInfo, "the embedded broker listens", {{"brokers", (*broker)->Brokers()}});
  while (stop_requested == 0) sigsuspend(&none);
  // It keeps nothing, so there is nothing to end in order, which takes librdkafka a second or two.
  std::_Exit(0);
}

}  // namespace weir
