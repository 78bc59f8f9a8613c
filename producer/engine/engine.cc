#include "producer/engine/engine.h"

#include <algorithm>
#include <random>

#include "common/obs/log.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr int kMostBatches = 16;  // in one pass: the coordinator must have its turn

}  // namespace

Engine::Engine(EngineOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      lock_(options_.database),
      session_(options_.database),
      publisher_(options_.producers),
      letters_(session_, publisher_, options_.topics),
      coordinator_(session_, clock, options_.idle, options_.sweep_limits),
      dispatcher_(session_, publisher_, clock, options_.limits, options_.topics),
      backoff_(milliseconds(200), milliseconds(5'000), std::random_device{}()) {}

Engine::~Engine() { Stop(); }

void Engine::Start() {
  thread_ = std::thread([this] {
    for (;;) {
      {
        const std::lock_guard guard(mutex_);
        if (stop_) break;
      }
      RunOnce();
    }
    lock_.Release();
    leading_ = false;
  });
}

void Engine::Stop() {
  {
    const std::lock_guard guard(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  lock_.Interrupt();
  session_.Interrupt();
  if (thread_.joinable()) thread_.join();
}

void Engine::RunOnce() {
  if (!Lead()) return;
  const milliseconds begin = clock_.Boot();
  auto aside = Pass();
  if (!aside) return Recover(aside.error());
  if (failures_ > 0) Log(LogLevel::kInfo, "dispatch goes on");
  failures_ = 0;
  SetTrouble(std::nullopt);
  last_pass_ = clock_.Boot().count();
  WaitForWork(clock_.Boot() - begin - *aside);
}

bool Engine::Lead() {
  if (lock_.Held()) return true;
  leading_ = false;
  auto held = lock_.Try();
  if (!held) {
    Recover(held.error());
    return false;
  }
  if (!*held) {
    SetTrouble(std::nullopt);
    last_pass_ = clock_.Boot().count();
    Sleep(options_.leader_retry);
    return false;
  }
  leading_ = true;
  if (options_.broker_forgets) dispatcher_.DistrustBroker();
  Log(LogLevel::kInfo, "this process dispatches and coordinates now");
  return true;
}

Result<milliseconds> Engine::Pass() {
  milliseconds aside{0};
  // Before jobs end, so that who saw the end of one finds its dead letters; a sick broker holds up no end.
  auto letters = letters_.RunOnce();
  if (!letters && letters.error().error_class != ErrorClass::kBroker) return Fail(letters.error());
  auto ended = coordinator_.RunOnce();
  if (!ended) return Fail(ended.error());
  aside += coordinator_.SweepTime();
  for (int i = 0; i < kMostBatches; ++i) {
    auto pass = dispatcher_.RunOnce();
    if (!pass) return Fail(pass.error());
    sent_ += pass->sent;
    aside += pass->in_kafka;
    if (!pass->more) break;
  }
  if (!letters) return Fail(letters.error());
  return aside;
}

// The gap keeps the loop below a third of a core however many notifications come; what comes during it is
// answered by one pass. A wait for Kafka costs nobody a core, and sweeps come once a job, so neither
// lengthens the gap.
void Engine::WaitForWork(milliseconds pass_time) {
  Sleep(std::max(options_.least_gap, 2 * pass_time));
  auto due = ledger::NextDue(session_, options_.poll);
  if (!due) return Recover(due.error());
  if (auto woken = lock_.Wait(*due); !woken) {
    leading_ = false;
    if (woken.error().error_class != ErrorClass::kStopped) Recover(woken.error());
  }
}

void Engine::Recover(const Error& error) {
  if (error.error_class == ErrorClass::kStopped) return;
  ++failures_;
  if (failures_ == 1) LogError(LogLevel::kWarn, "dispatch waits", error);
  SetTrouble(error);
  if (error.error_class != ErrorClass::kBroker) session_.Reset();
  Sleep(backoff_.Wait(std::min(failures_, 8)));
}

std::optional<Error> Engine::Trouble() const {
  const std::lock_guard guard(mutex_);
  return trouble_;
}

void Engine::SetTrouble(std::optional<Error> error) {
  const std::lock_guard guard(mutex_);
  trouble_ = std::move(error);
}

void Engine::Sleep(milliseconds time) {
  std::unique_lock guard(mutex_);
  stopped_.wait_for(guard, time, [this] { return stop_; });
}

}  // namespace weir
