#pragma once

#include <cstdint>
#include <vector>

#include "common/sources/source.h"

namespace weir {

// What of `whole` is in none of `read`: sorted, disjoint, none empty. `read` is sorted and disjoint, as in
// AccountState.
std::vector<TimeRange> Subtract(TimeRange whole, const std::vector<TimeRange>& read);

// Cuts `range` into `parts` adjacent slices of equal length (a millisecond more or less), oldest first: no
// gap, no overlap, none empty; so fewer when the range has fewer milliseconds. Empty for an empty range.
std::vector<TimeRange> Cut(TimeRange range, std::int64_t parts);

// How many of `records`, spread evenly over `whole`, fall into `part`; rounded up.
std::int64_t Share(std::int64_t records, TimeRange part, TimeRange whole);

}  // namespace weir
