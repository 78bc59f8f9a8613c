#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "common/base/error.h"

namespace weir::worker {

// What is asked of an upstream while the database does not take what comes of it: nothing. After a write to a
// table failed, all of the worker's lanes wait; when the pause is over, one of them tries (the table by a row
// that is rolled back, then a page), and the others wait for how that ends. The pause doubles with each
// failure and is forgotten when a write is taken. One a worker; thread-safe. Times are Clock::Boot.
class WriteGate {
 public:
  using Millis = std::chrono::milliseconds;

  enum class Way {
    kOpen,  // go on
    kTry,   // try the table, then go on; Took, Failed or Left must follow
    kWait,
  };
  struct Turn {
    Way way = Way::kOpen;
    Millis wait{0};
    Error why{};  // what failed; when it is not open
  };

  struct Pauses {
    // A server that restarts, or a connection that broke, may be back at once, and until then nothing can be
    // claimed; one that answers, and refuses, will do so for a while: long enough that the lanes hold no
    // offsets meanwhile (kLongWait).
    Millis after_break{250};
    Millis after_refusal{6'000};
    Millis longest{60'000};
  };

  WriteGate() = default;
  explicit WriteGate(Pauses pauses) : pauses_(pauses) {}

  // Before a page is asked for whose records go to `table`.
  Turn Ask(const std::string& table, Millis now);
  // A write failed, or the trial did; returns for how long nothing is asked.
  Millis Failed(const std::string& table, const Error& error, Millis now);
  // A write was taken.
  void Took(const std::string& table);
  // The try ended without a write: the next may have it.
  void Left(const std::string& table);
  // Another worker's write failed, as the ledger says: the table is tried before it is used, unless this
  // worker has written to it, since what the ledger says may be old.
  void Suspect(const std::string& table, const Error& error);

 private:
  struct Ill {
    int failures = 0;
    bool tried = false;  // somebody is at it
    Millis until{0};
    Error why;
  };

  const Pauses pauses_{};
  std::mutex mutex_;
  // Guarded by mutex_; a worker knows few tables.
  std::map<std::string, Ill> ill_;
  std::set<std::string> well_;  // that took the last write
};

}  // namespace weir::worker
