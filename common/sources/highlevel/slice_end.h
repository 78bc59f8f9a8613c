#pragma once

#include <cstdint>

#include "common/base/result.h"
#include "common/sources/source.h"

namespace weir::highlevel {

struct FinishOptions {
  std::int64_t task_pages = 10;       // pages a task reads in place
  std::int64_t slice_records = 5000;  // a window of changes with more is cut
  std::int64_t settled_ms = 0;        // no change later than this is claimed as read
};

// What a finished page of a slice or of a window of changes leaves: its next page, in place or as a task of
// its own; of changes also what is now read. Errors: kInvalid for a page that repeats itself or leads
// nowhere.
Result<PageEnd> FinishSearch(const TaskContext& task, const PageResult& result, const FinishOptions& options);

}  // namespace weir::highlevel
