#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.h"
#include "common/sources/highlevel/search_page.h"
#include "common/sources/source.h"

namespace weir::highlevel {

struct FinishOptions {
  std::int64_t task_pages = 10;       // pages a task reads in place
  std::int64_t slice_records = 5000;  // a window of changes with more is cut
  std::int64_t settled_ms = 0;        // no change later than this is claimed as read
  // The search's index may lag by so much: a change's place in it may be that much older than its time.
  std::int64_t overlap_ms = 300'000;
};

// What a finished page of a slice or of a window of changes leaves: its next page, in place or as a task of
// its own; of changes also what is now read. Nothing counts as read without proof that it is whole. Errors:
// kTransient for a page that does not prove what it should, e.g. one that repeats its predecessor.
Result<PageEnd> FinishSearch(const TaskContext& task, const PageResult& result, const FinishOptions& options);

// Of a window of changes (changes_end.cc).
Result<PageEnd> FinishChanges(const TaskContext& task, const ChangesPage& page, const PageResult& result,
                              const FinishOptions& options);

// The task's next page: in place, until it has had its turn.
void GoOn(const TaskContext& task, std::string key, const FinishOptions& options, PageEnd& end);

}  // namespace weir::highlevel
