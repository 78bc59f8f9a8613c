#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/sources/source.h"

namespace weir::chesscom {

// One monthly archive. Months are taken as UTC's.
struct Month {
  int year = 0;
  int month = 0;  // 1–12

  std::string Key() const;  // "2023/03"
  TimeRange Span() const;
  static std::optional<Month> Parse(std::string_view key);
  friend auto operator<=>(const Month&, const Month&) = default;
};

// The months of an /archives document, ascending, each once. Only the …/YYYY/MM at a URL's end is used:
// whatever host the URL names, requests go to the configured one. Errors: kInvalid for what is no list of
// archives, or one with impossible months or over 2,000 of them.
Result<std::vector<Month>> ParseArchives(std::string_view document, std::int64_t now_ms);

// The tasks of one account, in the order they should run; only months that overlap the filter's time:
//   full         every month, oldest first, and those that were read before and are not listed any more
//   incremental  the newest stored month and what is newer, and what is not complete since the oldest stored
//                one (or since the filter's); nothing stored = as full
//   with limit   one task that begins a chain over the months not complete and the newest, newest first; the
//                chain is the selector's key, "2024/03,2024/02,…", whose first month is the one to read
Result<void> PlanTasks(const std::vector<Month>& months, const AccountState& state, JobMode mode,
                       const Filter& filter, const TaskSink& sink);

// What such tasks will take. A month is one request of typically 0.7 s; what it holds is not told beforehand.
// Of a chain only so many months are counted as hold its budget at 50 games each.
PlanEstimate EstimateTasks(const std::vector<NewTask>& tasks);

// The month a task reads, and the rest of its chain ("" = none).
struct ArchiveKey {
  Month month;
  std::string_view rest;
  static std::optional<ArchiveKey> Parse(std::string_view selector_key);
};

// Whether an ETag or Last-Modified can be stored and sent back.
bool IsValidator(std::string_view header_value);

// What a finished month leaves. Errors: kInternal for a key that names no month; kTransient when games of
// another month came.
Result<PageEnd> FinishArchive(const TaskContext& task, const PageResult& result);

}  // namespace weir::chesscom
