#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/config.h"

namespace weir {

// How many rows a sweep may mark unasked: either bound will do.
struct SweepLimits {
  int percent = 10;  // of the live rows in its scope
  int rows = 10;

  bool Allow(std::int64_t to_mark, std::int64_t live) const;
};

// What is configured for a source: its own where it has some, else the general ones.
SweepLimits SweepLimitsOf(const Config& config, std::string_view source);

// What is known of a full job of one account when its sweep is decided.
struct SweepFacts {
  bool lists_all = false;   // SweepRule::lists_all
  bool full = false;        // mode full, no limit
  bool read_whole = false;  // every task of the account is done: none open, dead, cancelled or expired
  bool scope_known = true;  // false: since or until, and rows that have no time
  std::string doubt;        // why records may have been missed; "" = no reason
  std::int64_t stored = 0;  // records that its counters say were met and stored, over its chain of jobs
  std::int64_t noted = 0;   // ids noted by those jobs, each batch's once
  std::int64_t live = 0;    // rows in scope that are not stale
  // What the upstream said there is, before and after; nothing = it does not tell. `met`: different ids.
  std::optional<std::int64_t> total_before{}, total_after{};
  std::int64_t met = 0;
  std::int64_t to_mark = 0;  // of them: not met, not touched since it began, not watched
};

struct SweepDecision {
  enum class Kind {
    kMark,
    kHold,    // the evidence is good, but there are too many rows for marking them unasked
    kRefuse,  // what it did not meet may be there
  } kind = Kind::kRefuse;
  std::string reason;  // "" for kMark
};

// DESIGN §8. Pure.
SweepDecision DecideSweep(const SweepFacts& facts, const SweepLimits& limits);

}  // namespace weir
