#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

// What part of a stream a task reads. One shape for all kinds, so that it is four plain columns in
// weir.tasks.
enum class SelectorKind : std::int16_t {
  kDiscover =
      0,  // ask the upstream what there is, and write the job's tasks (requests of a plan obey the lane too)
  kPages = 1,   // pages [lo, hi)
  kWindow = 2,  // time window [lo, hi), Unix milliseconds, oldest first
  kNewest =
      3,  // time window [lo, hi), Unix milliseconds, newest first, up to the task's `budget` of new records
  kArchive = 4,  // one archive named `key`, e.g. "2023/03"
  kIds = 5,      // the records whose ids are `key`, comma-separated
  kCursor = 6,   // from cursor `key` within [lo, hi)
};

struct Selector {
  SelectorKind kind = SelectorKind::kDiscover;
  std::int64_t lo = 0;
  std::int64_t hi = 0;
  std::string key;

  friend bool operator==(const Selector&, const Selector&) = default;
};

std::string_view ToString(SelectorKind kind);
// As users see it in `weir failures`: "window 2023-01-01T00:00:00Z..2023-02-01T00:00:00Z", "archive 2023/03",
// …
std::string Describe(const Selector& selector);

enum class JobMode { kFull, kIncremental };
std::string_view ToString(JobMode mode);
std::optional<JobMode> ParseJobMode(std::string_view text);

// Bounds a sync; part of what makes two requests the same sync.
struct Filter {
  std::optional<std::int64_t> since_ms;  // inclusive, Unix milliseconds
  std::optional<std::int64_t> until_ms;  // exclusive
  std::optional<std::int64_t> limit;     // new records an account, newest first

  bool Contains(std::int64_t time_ms) const {
    return (!since_ms || time_ms >= *since_ms) && (!until_ms || time_ms < *until_ms);
  }
  friend bool operator==(const Filter&, const Filter&) = default;
};

}  // namespace weir
