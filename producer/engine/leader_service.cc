#include "producer/engine/leader_service.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/obs/log.h"

namespace weir {

using std::chrono::milliseconds;

LeaderService::LeaderService(Options options, Pass pass, const Clock& clock)
    : options_(std::move(options)),
      pass_(std::move(pass)),
      clock_(clock),
      session_(options_.database),
      backoff_(milliseconds(200), milliseconds(5'000), std::random_device{}()) {}

LeaderService::~LeaderService() { Stop(); }

void LeaderService::Start(std::function<bool()> leading) {
  thread_ = std::thread([this, leading = std::move(leading)] { Loop(leading); });
}

void LeaderService::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  session_.Interrupt();
  if (thread_.joinable()) thread_.join();
}

void LeaderService::Wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

// The gap keeps a loop below a third of a core however often it is woken; what comes during it is answered by
// one pass.
void LeaderService::Loop(const std::function<bool()>& leading) {
  for (;;) {
    ForgetWake();
    if (!leading()) {
      StandBy();
      if (!Rest(options_.poll, true)) return;
      continue;
    }
    const milliseconds begin = clock_.Boot();
    RunOnce();
    const milliseconds gap =
        failures_ > 0 ? backoff_.Wait(std::min(failures_, 8))
                      : std::max(options_.least_gap, std::min(2 * (clock_.Boot() - begin), options_.poll));
    if (!Rest(gap, false)) return;
    if (failures_ == 0 && !Rest(options_.poll, true)) return;
  }
}

// Before the look at who leads: a wake that comes after it is not lost.
void LeaderService::ForgetWake() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
}

// What ailed this process is of no concern while another leads.
void LeaderService::StandBy() {
  failures_ = 0;
  const std::lock_guard lock(mutex_);
  trouble_.reset();
}

bool LeaderService::Rest(milliseconds time, bool until_woken) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return stop_ || (until_woken && woken_); });
  return !stop_;
}

void LeaderService::AwaitPass(milliseconds timeout) {
  if (!thread_.joinable()) return;
  Wake();
  std::unique_lock lock(mutex_);
  const std::int64_t next = begun_ + 1;
  changed_.wait_for(lock, timeout, [&] { return stop_ || ended_ >= next; });
}

void LeaderService::RunOnce() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    ++begun_;
  }
  auto done = pass_();
  {
    const std::lock_guard lock(mutex_);
    ended_ = begun_;
  }
  changed_.notify_all();
  if (!done) return Failed(done.error());
  if (failures_ > 0) Log(LogLevel::kInfo, "a service of the leader goes on", {{"service", options_.name}});
  failures_ = 0;
  const std::lock_guard lock(mutex_);
  trouble_.reset();
}

void LeaderService::Failed(const Error& error) {
  if (error.error_class == ErrorClass::kStopped) return;
  ++failures_;
  if (failures_ == 1) LogError(LogLevel::kWarn, "a service of the leader waits: " + options_.name, error);
  if (error.error_class != ErrorClass::kBroker) session_.Reset();
  const std::lock_guard lock(mutex_);
  trouble_ = error;
}

std::optional<Error> LeaderService::Trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

}  // namespace weir
