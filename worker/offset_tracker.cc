#include "worker/offset_tracker.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace weir::worker {
namespace {

// A log line would let the wrong offset be committed and a task be lost: stop instead (STYLE.md, the ten
// uglinesses).
[[noreturn]] void Misuse(const char* what, std::int64_t offset) {
  std::fprintf(stderr, "offset tracker: %s (offset %lld)\n", what, static_cast<long long>(offset));
  std::abort();
}

}  // namespace

void OffsetTracker::Delivered(std::int64_t offset) {
  if (!entries_.empty() && offset <= entries_.back().offset) Misuse("delivered out of order", offset);
  entries_.push_back({offset, false});
  ++unfinished_;
}

void OffsetTracker::Finished(std::int64_t offset) {
  const auto entry = std::lower_bound(entries_.begin(), entries_.end(), offset,
                                      [](const Entry& e, std::int64_t value) { return e.offset < value; });
  if (entry == entries_.end() || entry->offset != offset) Misuse("finished but never delivered", offset);
  if (entry->finished) Misuse("finished twice", offset);
  entry->finished = true;
  --unfinished_;
  while (!entries_.empty() && entries_.front().finished) {
    storable_ = entries_.front().offset + 1;
    entries_.pop_front();
  }
}

std::optional<std::int64_t> OffsetTracker::TakeStorable() { return std::exchange(storable_, std::nullopt); }

}  // namespace weir::worker
