#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir {

// One of the leader's duties next to dispatch, as a loop on a thread and a session of its own: however long
// it takes, and whatever ails it, the others go on. It works only while its process leads.
class LeaderService {
 public:
  struct Options {
    std::string name;  // in log lines, e.g. "sweeps"
    pg::SessionOptions database;
    std::chrono::milliseconds poll{500};      // the longest it waits without Wake
    std::chrono::milliseconds least_gap{20};  // between two passes, however often it is woken
  };
  using Pass = std::function<Result<void>()>;

  LeaderService(Options options, Pass pass, const Clock& clock);
  ~LeaderService();
  LeaderService(const LeaderService&) = delete;
  LeaderService& operator=(const LeaderService&) = delete;

  // Runs passes on a thread until Stop, while `leading` says so.
  void Start(std::function<bool()> leading);
  // Interrupts the pass, joins. More than once is fine.
  void Stop();
  // Something may be to do, or this process leads from now on. Any thread.
  void Wake();
  // Waits until a pass has ended that began after this call, or for `timeout`; nothing where no thread runs
  // passes.
  void AwaitPass(std::chrono::milliseconds timeout);

  // One pass. A failure is logged when it begins, kept as Trouble, and makes the next passes rarer. For
  // Start's thread or tests, never both.
  void RunOnce();
  // What its passes work on: only they may use it.
  pg::Session& Session() { return session_; }
  // Why the last pass failed, while it does. Any thread.
  std::optional<Error> Trouble() const;

 private:
  void Loop(const std::function<bool()>& leading);
  void ForgetWake();
  void StandBy();
  void Failed(const Error& error);
  // Waits for `time`, or for Stop, or also for Wake. False once stopped.
  bool Rest(std::chrono::milliseconds time, bool until_woken);

  const Options options_;
  const Pass pass_;
  const Clock& clock_;
  pg::Session session_;
  Backoff backoff_;
  int failures_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;  // guarded by mutex_, as all below
  bool stop_ = false;
  std::int64_t begun_ = 0, ended_ = 0;  // passes
  std::optional<Error> trouble_;
  std::thread thread_;
};

}  // namespace weir
