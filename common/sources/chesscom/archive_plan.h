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

struct Archives {
  std::vector<Month> months;  // ascending, each once
  std::string doubt;          // "" = every element named a month that can be
};

// The months of an /archives document. Only the …/YYYY/MM at a URL's end is used: whatever host the URL
// names, requests go to the configured one. An element that names no possible month is passed over and leaves
// a doubt. Errors: kInvalid for what is no list of archives, has over 2,000 elements, or elements and not one
// month.
Result<Archives> ParseArchives(std::string_view document, std::int64_t now_ms);

// The tasks of one account, in the order they should run; only months that overlap the filter's time:
//   full         every month, oldest first, and those that were read before and are not listed any more
//   incremental  the newest stored month and what is newer, and what is not complete since the oldest stored
//                one (or since the filter's; or at all, once a full sync has read everything that was
//                listed); nothing stored = as full
//   with limit   one task that begins a chain over the months not complete and the newest, newest first; the
//                chain is the selector's key, "2024/03,2024/02,…", whose first month is the one to read
// The list's doubt goes with the first task.
Result<void> PlanTasks(const Archives& archives, const AccountState& state, JobMode mode,
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

// Whether the task reads a month that was read before and is not listed any more.
bool IsUnlisted(const Selector& selector);

// Where the games of a month's answer may lie.
TimeRange GameTimes(const Month& month);

// Whether an ETag or Last-Modified can be stored and sent back.
bool IsValidator(std::string_view header_value);

// What a finished month leaves. Errors: kInternal for a key that names no month; kTransient when most
// of the games, or its first and its last one, are of another month. A few of them leave a doubt only.
Result<PageEnd> FinishArchive(const TaskContext& task, const PageResult& result);

}  // namespace weir::chesscom
