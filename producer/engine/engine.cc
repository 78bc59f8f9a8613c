#include "producer/engine/engine.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/obs/log.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

constexpr int kMostBatches = 16;  // in one pass: the coordinator must have its turn
constexpr milliseconds kAwaitLetters{1'000};

}  // namespace

Engine::Engine(EngineOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      lock_(options_.database),
      session_(options_.database),
      publisher_(options_.producers),
      coordinator_(session_, clock, options_.idle),
      dispatcher_(session_, publisher_, clock, options_.limits, options_.topics),
      backoff_(milliseconds(200), milliseconds(5'000), std::random_device{}()),
      job_service_(
          ServiceOptions("end of jobs"), [this] { return EndJobs(); }, clock),
      sweep_service_(
          ServiceOptions("sweeps"), [this] { return Sweep(); }, clock),
      letter_service_(
          ServiceOptions("dead letters"), [this] { return SendLetters(); }, clock),
      retention_service_(
          ServiceOptions("deletion of history"), [this] { return DeleteHistory(); }, clock),
      jobs_(job_service_.Session()),
      sweeper_(sweep_service_.Session(), clock, options_.sweep_limits),
      letter_publisher_(options_.producers),
      letters_(letter_service_.Session(), letter_publisher_, options_.topics),
      retention_(retention_service_.Session(), clock, options_.retention) {}

Engine::~Engine() { Stop(); }

LeaderService::Options Engine::ServiceOptions(const std::string& name) const {
  return {
      .name = name, .database = options_.database, .poll = options_.poll, .least_gap = options_.least_gap};
}

// Who saw the end of a job finds its dead letters; but letters that Kafka does not take hold up no end.
Result<void> Engine::AwaitLetters() {
  if (letter_service_.Trouble()) return {};
  auto due = ledger::AnyLetterDue(job_service_.Session());
  if (!due) return Fail(due.error());
  if (*due) letter_service_.AwaitPass(kAwaitLetters);
  return {};
}

// An account that ended may have a sweep due, and a job ends once its sweeps are decided: each wakes the
// other.
Result<void> Engine::EndJobs() {
  if (auto ok = AwaitLetters(); !ok) return ok;
  auto ended = jobs_.RunOnce();
  if (!ended) return Fail(ended.error());
  sweep_service_.Wake();
  return {};
}

Result<void> Engine::Sweep() {
  auto decided = sweeper_.RunOnce();
  if (!decided) return Fail(decided.error());
  if (*decided > 0) job_service_.Wake();
  return {};
}

Result<void> Engine::SendLetters() {
  auto sent = letters_.RunOnce();
  if (!sent) return Fail(sent.error());
  if (*sent > 0) letter_service_.Wake();  // there may be more than one pass takes
  return {};
}

Result<void> Engine::DeleteHistory() {
  auto more = retention_.RunOnce();
  if (!more) return Fail(more.error());
  if (*more) retention_service_.Wake();
  return {};
}

std::array<LeaderService*, 4> Engine::Services() {
  return {&job_service_, &sweep_service_, &letter_service_, &retention_service_};
}

void Engine::Start() {
  const auto leading = [this] { return leading_.load(); };
  for (LeaderService* service : Services()) service->Start(leading);
  thread_ = std::thread([this] {
    for (;;) {
      {
        const std::lock_guard guard(mutex_);
        if (stop_) break;
      }
      if (Lead()) Dispatch();
    }
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
  // The services end before leadership is given back.
  for (LeaderService* service : Services()) service->Stop();
  lock_.Release();
  leading_ = false;
}

void Engine::RunOnce() {
  if (!Lead()) return;
  letter_service_.RunOnce();
  job_service_.RunOnce();
  sweep_service_.RunOnce();
  job_service_.RunOnce();
  retention_service_.RunOnce();
  Dispatch();
}

void Engine::Dispatch() {
  const milliseconds begin = clock_.Boot();
  auto aside = Pass();
  if (!aside) return Recover(aside.error());
  if (failures_ > 0) Log(LogLevel::kInfo, "dispatch goes on");
  failures_ = 0;
  without_broker_since_.reset();
  SetTrouble(std::nullopt);
  last_pass_ = clock_.Boot().count();
  WaitForWork(clock_.Boot() - begin - *aside);
}

bool Engine::Lead() {
  if (lock_.Held()) return true;
  leading_ = false;
  if (clock_.Boot() < aside_until_) {
    Sleep(options_.leader_retry);
    return false;
  }
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
  first_pass_ = true;
  for (LeaderService* service : Services()) service->Wake();
  if (options_.broker_forgets) dispatcher_.DistrustBroker();
  Log(LogLevel::kInfo, "this process dispatches and coordinates now");
  return true;
}

Result<milliseconds> Engine::Pass() {
  milliseconds in_kafka{0};
  if (auto looked = coordinator_.RunOnce(); !looked) return Fail(looked.error());
  for (int i = 0; i < kMostBatches; ++i) {
    auto pass = dispatcher_.RunOnce();
    if (!pass) return Fail(pass.error());
    sent_ += pass->sent;
    in_kafka += pass->in_kafka;
    if (!pass->more) break;
  }
  return in_kafka;
}

// The gap keeps the loop below a third of a core however many notifications come; what comes during it is
// answered by one pass. A wait for Kafka costs nobody a core, so it does not lengthen the gap; nor does the
// first pass, which prepares every statement.
void Engine::WaitForWork(milliseconds pass_time) {
  const bool first = std::exchange(first_pass_, false);
  Sleep(first ? options_.least_gap : std::max(options_.least_gap, 2 * pass_time));
  auto due = ledger::NextDue(session_, options_.poll);
  if (!due) return Recover(due.error());
  auto woken = lock_.Wait(*due);
  if (!woken) {
    leading_ = false;
    if (woken.error().error_class != ErrorClass::kStopped) Recover(woken.error());
    return;
  }
  job_service_.Wake();
  if (*woken) letter_service_.Wake();
}

void Engine::Recover(const Error& error) {
  if (error.error_class == ErrorClass::kStopped) return;
  ++failures_;
  if (failures_ == 1) LogError(LogLevel::kWarn, "dispatch waits", error);
  SetTrouble(error);
  if (error.error_class != ErrorClass::kBroker) session_.Reset();
  if (error.error_class == ErrorClass::kBroker || error.error_class == ErrorClass::kConfig) {
    const milliseconds since = without_broker_since_.value_or(clock_.Boot());
    without_broker_since_ = since;
    if (lock_.Held() && clock_.Boot() - since >= options_.give_up_after) return StandAside();
  } else {
    without_broker_since_.reset();
  }
  Sleep(backoff_.Wait(std::min(failures_, 8)));
}

// Another process may reach Kafka. If none leads, this one does again.
void Engine::StandAside() {
  Log(LogLevel::kWarn, "this process cannot reach Kafka and lets another one lead");
  lock_.Release();
  leading_ = false;
  without_broker_since_.reset();
  aside_until_ = clock_.Boot() + options_.stand_aside;
}

std::optional<Error> Engine::Trouble() const {
  {
    const std::lock_guard guard(mutex_);
    if (trouble_) return trouble_;
  }
  return job_service_.Trouble();
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
