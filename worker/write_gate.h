#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
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
  // A write failed, or the trial did; returns for how long nothing is asked. `wrote`: when the last rows that
  // the same page had written before were sent; none = it had written none.
  Millis Failed(const std::string& table, const Error& error, Millis now, std::optional<Millis> wrote = {});
  // Rows were taken that were sent at `sent`. What was sent before the last failure says nothing of it.
  void Took(const std::string& table, Millis sent);
  // The page that was let through to try ended well and had nothing to write: its table took the trial's row.
  // The others go on, but what failed is not forgotten: a table may hold no more rows and take that one.
  void Passed(const std::string& table);
  // The try ended without a write: the next may have it.
  void Left(const std::string& table);
  // A page of `account` (any name for an account of a job) ended, and of its records the table took some; or
  // the database refused all of them, so many, by one SQLSTATE. True when the next page would fare
  // no better: the second such page in a row, and more records than a rule against single ones refuses.
  void StoredOf(const std::string& account);
  // One task counts once, however often it is replayed.
  bool RefusedWhole(const std::string& account, const std::string& sqlstate, std::int64_t records,
                    std::int64_t task);
  // Another worker's write failed, as the ledger says: the table is tried before it is used, unless this
  // worker has written to it, since what the ledger says may be old.
  void Suspect(const std::string& table, const Error& error);

 private:
  struct Ill {
    int failures = 0;
    bool tried = false;   // somebody is at it
    bool passed = false;  // nothing has failed since a try had nothing to write
    Millis failed{-1};    // the last time; negative = not here
    Millis until{0};
    Error why;
  };

  struct Refused {
    std::string sqlstate;
    int pages = 0;  // in a row
    std::int64_t records = 0;
    std::int64_t task = 0;  // the last one's
  };

  const Pauses pauses_{};
  std::mutex mutex_;
  // Guarded by mutex_; a worker knows few tables.
  std::map<std::string, Ill> ill_;
  std::set<std::string> well_;              // that took the last write
  std::map<std::string, Refused> refused_;  // by account; bounded
};

}  // namespace weir::worker
