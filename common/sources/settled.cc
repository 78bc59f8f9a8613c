#include "common/sources/settled.h"

#include <algorithm>

namespace weir {

std::int64_t SettledMs(const TaskContext& task, const PageResult& result, std::int64_t latest_record_ms,
                       std::chrono::milliseconds settle) {
  std::int64_t now = task.now_ms;
  if (result.head != nullptr)
    now = std::min(now, std::max(AnsweredAt(*result.head, task.now_ms), latest_record_ms));
  return now - settle.count();
}

}  // namespace weir
