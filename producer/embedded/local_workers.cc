#include "producer/embedded/local_workers.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "common/ledger/dispatch.h"
#include "common/ledger/lanes.h"
#include "common/obs/log.h"
#include "producer/embedded/child_process.h"
#include "producer/embedded/log_bound.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{50};
constexpr milliseconds kBuryAgain{500};
constexpr milliseconds kKillGrace{5'000};
constexpr milliseconds kBoundLogsEvery{1'000};
constexpr int kUsageExit = 2;  // a configuration that is not going to get better by itself

}  // namespace

std::optional<milliseconds> RestartPolicy::AfterDeath(Millis lived) {
  deaths_ = lived >= kHealthyLife ? 1 : deaths_ + 1;
  if (deaths_ > kMostInARow) return std::nullopt;
  if (deaths_ <= 2) return Millis(0);
  return std::min(Millis(5'000), Millis(100) * (1 << std::min(deaths_ - 3, 10)));
}

LocalWorkers::LocalWorkers(LocalWorkersOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), session_(options_.database) {
  for (int i = 1; i <= options_.count; ++i) {
    slots_.emplace_back();
    slots_.back().number = i;
  }
}

LocalWorkers::~LocalWorkers() { Stop(); }

void LocalWorkers::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void LocalWorkers::Stop() {
  {
    const std::lock_guard guard(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::vector<pid_t> LocalWorkers::Pids() const {
  const std::lock_guard guard(mutex_);
  std::vector<pid_t> pids;
  for (const Slot& slot : slots_) {
    if (slot.pid > 0) pids.push_back(slot.pid);
  }
  return pids;
}

int LocalWorkers::Restarts() const {
  const std::lock_guard guard(mutex_);
  return restarts_;
}

std::optional<Error> LocalWorkers::Failed() const {
  const std::lock_guard guard(mutex_);
  const bool none_left = std::all_of(slots_.begin(), slots_.end(), [](const Slot& s) { return s.given_up; });
  return none_left ? failed_ : std::nullopt;
}

void LocalWorkers::Loop() {
  std::unique_lock guard(mutex_);
  while (!stop_) {
    for (Slot& slot : slots_) Tend(slot);
    guard.unlock();
    BoundLogs();
    Bury();
    guard.lock();
    wake_.wait_for(guard, kLook, [this] { return stop_; });
  }
  guard.unlock();
  StopAll();
}

void LocalWorkers::Tend(Slot& slot) {
  int status = 0;
  if (slot.pid > 0 && waitpid(slot.pid, &status, WNOHANG) == slot.pid) OnDeath(slot, status);
  if (slot.pid == 0 && !slot.given_up && clock_.Boot() >= slot.start_at) Launch(slot);
}

void LocalWorkers::Launch(Slot& slot) {
  // A pid alone is not unique: in containers every one of them is 1.
  const std::string name = fmt::format("local-{}-{}", getpid(), slot.number);
  const std::string incarnation = fmt::format("{:08x}{}", std::random_device{}(), ++slot.starts);
  slot.id = name + "-" + incarnation;
  ChildSpec spec;
  spec.argv = {options_.program};
  spec.argv.insert(spec.argv.end(), options_.arguments.begin(), options_.arguments.end());
  spec.environment = options_.environment;
  spec.environment["WEIR_WORKER_ID"] = name;
  spec.environment["WEIR_WORKER_INCARNATION"] = incarnation;
  spec.environment["WEIR_WORKER_PEERS"] = std::to_string(options_.count);
  spec.output_file = LogOf(slot.number);
  spec.death_signal = SIGTERM;
  auto pid = Spawn(spec);
  if (!pid) return GiveUp(slot, pid.error().message);
  slot.pid = *pid;
  slot.started = clock_.Boot();
  if (slot.starts > 1) ++restarts_;
  Log(LogLevel::kDebug, "worker started", {{"worker", slot.id}, {"pid", slot.pid}});
}

void LocalWorkers::OnDeath(Slot& slot, int status) {
  const std::string how = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                              : fmt::format("exit code {}", WEXITSTATUS(status));
  Log(LogLevel::kWarn, "a local worker ended", {{"worker", slot.id}, {"pid", slot.pid}, {"by", how}});
  // SIGKILL too: here nobody of ours sends it (StopAll does), and it is what the kernel does to a program
  // that exhausts the memory. Not counted, such a page would be read again without end.
  const bool asked_to_end = WIFSIGNALED(status)
                                ? WTERMSIG(status) == SIGTERM
                                : WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == kUsageExit;
  dead_.push_back({slot.id, !asked_to_end});
  bury_at_ = milliseconds(0);
  slot.pid = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kUsageExit)
    return GiveUp(slot, "its configuration is refused");
  const auto delay = slot.policy.AfterDeath(clock_.Boot() - slot.started);
  if (!delay)
    return GiveUp(slot, fmt::format("it ended {} times in a row ({})", RestartPolicy::kMostInARow + 1, how));
  slot.start_at = clock_.Boot() + *delay;
}

void LocalWorkers::GiveUp(Slot& slot, const std::string& why) {
  slot.given_up = true;
  failed_ =
      MakeError(ErrorClass::kInternal, "no local worker runs any more: " + why, "see " + LogOf(slot.number));
  LogError(LogLevel::kError, "a local worker is given up", *failed_);
}

std::string LocalWorkers::LogOf(int number) const {
  return fmt::format("{}/worker-{}.log", options_.log_dir, number);
}

void LocalWorkers::BoundLogs() {
  if (clock_.Boot() < bound_logs_at_) return;
  bound_logs_at_ = clock_.Boot() + kBoundLogsEvery;
  for (int number = 1; number <= options_.count; ++number) BoundLog(LogOf(number));
}

void LocalWorkers::Bury() {
  if (dead_.empty() || clock_.Boot() < bury_at_) return;
  while (!dead_.empty()) {
    const std::string& id = dead_.back().id;
    // The tasks first: whoever gets a free lane would take a task that still runs for one that crashed its
    // worker.
    auto requeued = ledger::RequeueOwner(session_, id, dead_.back().crashed);
    auto released = requeued ? ledger::ReleaseHolder(session_, id) : Result<void>(Fail(requeued.error()));
    auto forgotten = released ? ledger::ForgetWorker(session_, id) : released;
    if (!forgotten) {
      // Its leases run out by themselves; this only makes it quicker.
      session_.Reset();
      bury_at_ = clock_.Boot() + kBuryAgain;
      return;
    }
    dead_.pop_back();
  }
}

void LocalWorkers::StopAll() {
  for (const pid_t pid : Pids()) kill(pid, SIGTERM);
  if (!AwaitEnd(clock_.Boot() + options_.drain_timeout + kKillGrace, SIGTERM)) {
    for (const pid_t pid : Pids()) {
      Log(LogLevel::kWarn, "a worker did not end in time and is killed", {{"pid", pid}});
      kill(pid, SIGKILL);
    }
    AwaitEnd(clock_.Boot() + kKillGrace, SIGKILL);
  }
  Bury();
}

bool LocalWorkers::AwaitEnd(milliseconds until, int sent) {
  for (;;) {
    {
      const std::lock_guard guard(mutex_);
      for (Slot& slot : slots_) {
        int status = 0;
        if (slot.pid <= 0 || waitpid(slot.pid, &status, WNOHANG) != slot.pid) continue;
        slot.pid = 0;
        dead_.push_back({slot.id, WIFSIGNALED(status) && WTERMSIG(status) != sent});
      }
    }
    if (Pids().empty()) return true;
    if (clock_.Boot() >= until) return false;
    usleep(10'000);
  }
}

}  // namespace weir
