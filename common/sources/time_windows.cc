#include "common/sources/time_windows.h"

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

// An upstream may claim anything; a double holds this much exactly.
constexpr std::int64_t kMaxRecords = 1'000'000'000'000'000;

}  // namespace

std::vector<TimeRange> Subtract(TimeRange whole, const std::vector<TimeRange>& read) {
  std::vector<TimeRange> holes;
  std::int64_t at = whole.lo;
  for (const TimeRange& r : read) {
    if (r.hi <= at) continue;
    if (r.lo >= whole.hi) break;
    if (r.lo > at) holes.push_back({at, r.lo});
    at = r.hi;
  }
  if (at < whole.hi) holes.push_back({at, whole.hi});
  return holes;
}

std::vector<TimeRange> Cut(TimeRange range, std::int64_t parts) {
  std::vector<TimeRange> slices;
  if (range.hi <= range.lo) return slices;
  const std::int64_t length = range.hi - range.lo;
  parts = std::clamp<std::int64_t>(parts, 1, length);
  slices.reserve(static_cast<std::size_t>(parts));
  const std::int64_t each = length / parts;
  const std::int64_t longer = length % parts;  // so many slices are one millisecond longer
  std::int64_t at = range.lo;
  for (std::int64_t i = 0; i < parts; ++i) {
    const std::int64_t hi = at + each + (i < longer ? 1 : 0);
    slices.push_back({at, hi});
    at = hi;
  }
  return slices;
}

std::int64_t Share(std::int64_t records, TimeRange part, TimeRange whole) {
  if (records <= 0 || part.hi <= part.lo) return 0;
  const double whole_length = static_cast<double>(std::max<std::int64_t>(whole.hi - whole.lo, 1));
  const double share = std::min(1.0, static_cast<double>(part.hi - part.lo) / whole_length);
  records = std::min(records, kMaxRecords);
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(records) * share));
}

}  // namespace weir
