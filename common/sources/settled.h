#pragma once

#include <chrono>
#include <cstdint>

#include "common/sources/source.h"

namespace weir {

// The latest time up to which a page can prove that everything was read, in Unix milliseconds. A source's
// records carry the upstream's times, so the upstream's clock decides where it is behind ours: its answer's
// Date, or `latest_record_ms`, the latest time of a record in it (0 = none), if that is later. A clock of the
// upstream's that is ahead of ours is never believed. `settle` is how late the upstream may list a record.
std::int64_t SettledMs(const TaskContext& task, const PageResult& result, std::int64_t latest_record_ms,
                       std::chrono::milliseconds settle);

}  // namespace weir
