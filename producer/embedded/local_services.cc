#include "producer/embedded/local_services.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "common/base/clock.h"
#include "common/ledger/migrations.h"
#include "common/pg/embedded_postgres.h"
#include "common/pg/migrations.h"
#include "producer/embedded/child_process.h"
#include "producer/embedded/supervisor.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{20};
constexpr milliseconds kAskAgain{5'000};  // for a part that could not be started

Error Interrupted() { return MakeError(ErrorClass::kStopped, "interrupted"); }

}  // namespace

Result<std::unique_ptr<LocalServices>> LocalServices::Acquire(const Config& config, SayProgress say,
                                                              LocalServicesOptions options) {
  std::unique_ptr<LocalServices> services(new LocalServices(config, std::move(say), std::move(options)));
  if (!services->private_database_ && !services->embedded_broker_) return services;
  if (auto room = services->CheckRoom(); !room) return Fail(room.error());
  if (auto entered = services->Enter(); !entered) return Fail(entered.error());
  if (auto ready = services->AwaitParts(); !ready) return Fail(ready.error());
  if (services->private_database_) {
    if (auto migrated = services->MigratePrivate(); !migrated) return Fail(migrated.error());
  }
  return services;
}

LocalServices::LocalServices(const Config& config, SayProgress say, LocalServicesOptions options)
    : paths_{config.home},
      say_(std::move(say)),
      options_(std::move(options)),
      private_database_(config.database_url.empty()),
      embedded_broker_(config.kafka_brokers.empty()),
      database_url_(config.database_url.Reveal()),
      brokers_(config.kafka_brokers) {
  if (options_.program.empty()) options_.program = OwnProgram();
}

LocalServices::~LocalServices() { Release(); }

void LocalServices::Release() {
  use_.reset();
  if (status_ >= 0) close(status_);
  status_ = -1;
  // The supervisor is a child of ours: it stays one until it ends or we do, and must not stay a zombie
  // meanwhile.
  if (supervisor_ > 0) waitpid(supervisor_, nullptr, WNOHANG);
  supervisor_ = 0;
}

// Before anything is begun: on a full disk the supervisor could not even write down what is wrong.
Result<void> LocalServices::CheckRoom() const {
  if (!private_database_) return {};
  pg::EmbeddedPostgresOptions options;
  options.home = paths_.home;
  options.free_space = options_.free_space;
  return pg::EmbeddedPostgres(std::move(options)).CheckRoom();
}

// A byte of users.lock. A supervisor that is just ending holds all: it is waited for.
Result<void> LocalServices::Enter() {
  if (auto made = paths_.Make(); !made) return Fail(made.error());
  const SystemClock clock;
  const milliseconds until = clock.Boot() + options_.timeout;
  for (;;) {
    auto lock = FileLock::TryAsUser(paths_.UsersLock());
    if (!lock) return Fail(lock.error());
    use_ = std::move(*lock);
    if (use_) break;
    if (options_.stopped()) return Fail(Interrupted());
    if (clock.Boot() >= until) {
      return Fail(ErrorClass::kConflict, "the private services have been stopping for too long",
                  "see " + paths_.SupervisorLog());
    }
    std::this_thread::sleep_for(kLook);
  }
  return MarkWanted();
}

Result<void> LocalServices::MarkWanted() {
  if (private_database_) {
    if (auto marked = SetMark(paths_.WantPostgres(), true); !marked) return Fail(marked.error());
  }
  if (embedded_broker_) return SetMark(paths_.WantBroker(), true);
  return {};
}

bool LocalServices::MarksStand() const {
  return (!private_database_ || HasMark(paths_.WantPostgres())) &&
         (!embedded_broker_ || HasMark(paths_.WantBroker()));
}

Result<void> LocalServices::AwaitParts() {
  const SystemClock clock;
  const milliseconds until = clock.Boot() + options_.timeout;
  for (;;) {
    auto ready = Ready();
    if (!ready) return Fail(ready.error());
    if (*ready) return {};
    if (options_.stopped()) return Fail(Interrupted());
    if (clock.Boot() >= until) {
      return Fail(ErrorClass::kDatabase, "the private services did not come up in time",
                  "see " + paths_.SupervisorLog());
    }
    if (supervisor_ == 0 && !IsLocked(paths_.SupervisorLock())) {
      if (auto started = StartSupervisor(); !started) return Fail(started.error());
    }
    if (auto heard = Listen(kLook); !heard) return Fail(heard.error());
  }
}

// All that we need runs under a supervisor that is alive. Errors: what it says of a part that we asked for.
Result<bool> LocalServices::Ready() {
  const auto endpoints = ReadEndpoints(paths_.Endpoints());
  if (!endpoints || !IsLocked(paths_.SupervisorLock())) return false;
  if (!MarksStand() && !endpoints->error.empty())
    return Fail(ErrorClass::kConfig, endpoints->error, endpoints->hint);
  if ((private_database_ && endpoints->database_url.empty()) ||
      (embedded_broker_ && endpoints->brokers.empty())) {
    return false;
  }
  if (private_database_) database_url_ = endpoints->database_url;
  if (embedded_broker_) brokers_ = endpoints->brokers;
  return true;
}

Result<void> LocalServices::StartSupervisor() {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0)
    return Fail(ErrorClass::kInternal, "no pipe is left for the supervisor");
  ChildSpec spec;
  spec.argv = {options_.program, "supervise", "--home", paths_.home, "--status-fd", "3"};
  spec.output_file = paths_.SupervisorLog();
  spec.detached = true;
  spec.status_fd = pipe_ends[1];
  auto pid = Spawn(spec);
  close(pipe_ends[1]);
  if (!pid) {
    close(pipe_ends[0]);
    return Fail(pid.error());
  }
  if (status_ >= 0) close(status_);
  status_ = pipe_ends[0];
  supervisor_ = *pid;
  heard_.clear();
  return {};
}

Result<void> LocalServices::Listen(milliseconds wait) {
  pollfd readable{status_, POLLIN, 0};
  poll(&readable, 1, static_cast<int>(wait.count()));
  if (status_ < 0) return {};
  char buffer[1024];
  ssize_t size = 0;
  if ((readable.revents & (POLLIN | POLLHUP)) != 0) {
    size = read(status_, buffer, sizeof buffer);
    if (size > 0) heard_.append(buffer, static_cast<std::size_t>(size));
  }
  for (auto end = heard_.find('\n'); end != std::string::npos; end = heard_.find('\n')) {
    const std::string line = heard_.substr(0, end);
    heard_.erase(0, end + 1);
    if (!line.empty()) say_(line);
  }
  int status = 0;
  if (supervisor_ > 0 && waitpid(supervisor_, &status, WNOHANG) == supervisor_) {
    supervisor_ = 0;
    close(status_);
    status_ = -1;
    // 0: another one was faster, or all is over and the next look starts another.
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      return Fail(ErrorClass::kConfig, "the supervisor of the private services ended at once",
                  "see " + paths_.SupervisorLog());
    }
  }
  return {};
}

void LocalServices::Maintain() {
  if (!private_database_ && !embedded_broker_) return;
  // What it says now is in its log as well; an error here must not end a sync that may well go on.
  if (auto heard = Listen(milliseconds(0)); !heard) say_(heard.error().message);
  if (supervisor_ == 0 && !IsLocked(paths_.SupervisorLock())) {
    say_("the supervisor of the private services is gone; starting another");
    // The one that ended may have taken them away.
    if (auto marked = MarkWanted(); !marked) say_(marked.error().message);
    if (auto started = StartSupervisor(); !started) say_(started.error().message);
  }
  if (!MarksStand()) AskAgain();
}

// The supervisor gave up a part that we use: a new one that could not start it takes its mark away.
void LocalServices::AskAgain() {
  const SystemClock clock;
  if (clock.Boot() < ask_again_at_) return;
  ask_again_at_ = clock.Boot() + kAskAgain;
  const auto endpoints = ReadEndpoints(paths_.Endpoints());
  if (endpoints && !endpoints->error.empty() && endpoints->error != said_error_)
    say_(said_error_ = endpoints->error);
  if (auto marked = MarkWanted(); !marked) say_(marked.error().message);
}

Result<void> LocalServices::MigratePrivate() {
  pg::SessionOptions options;
  options.url = database_url_;
  pg::Session session(options);
  auto applied = pg::Up(session, ledger::AllMigrations());
  if (!applied) return Fail(applied.error());
  if (!applied->empty())
    say_(fmt::format("the private database has its tables now ({} migrations)", applied->size()));
  return {};
}

Result<void> KeepServices(const Config& config) { return SetMark(HomePaths{config.home}.Keep(), true); }

Result<DownReport> EndServices(const Config& config, milliseconds timeout) {
  const HomePaths paths{config.home};
  DownReport report;
  if (auto unmarked = SetMark(paths.Keep(), false); !unmarked) return Fail(unmarked.error());
  const SystemClock clock;
  const milliseconds until = clock.Boot() + timeout;
  while (IsLocked(paths.SupervisorLock())) {
    report.was_running = true;
    report.users = LockUsers(paths.UsersLock());
    std::erase(report.users, 0);
    if (!report.users.empty()) return report;
    if (clock.Boot() >= until) {
      return Fail(ErrorClass::kConflict, "the private services do not stop", "see " + paths.SupervisorLog());
    }
    std::this_thread::sleep_for(kLook);
  }
  // A supervisor that was killed has left its PostgreSQL behind.
  pg::EmbeddedPostgresOptions options;
  options.home = config.home;
  pg::EmbeddedPostgres postgres(options);
  if (postgres.RunningPid() != 0 || postgres.home().DataHeld()) {
    report.was_running = true;
    if (auto stopped = postgres.Stop(); !stopped) return Fail(stopped.error());
  }
  return report;
}

}  // namespace weir
