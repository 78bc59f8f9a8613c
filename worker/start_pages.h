#pragma once

#include <cstddef>

namespace weir::worker {

// Gives back the pages of the program and its libraries that are mapped and clean: relocating and starting a
// dozen libraries touches megabytes that a worker never needs again. What it does need comes back from the
// page cache, a few hundred faults. Never a page that holds something of this process. Returns the bytes of
// the mappings; 0 where /proc cannot be read.
std::size_t ForgetStartPages();

}  // namespace weir::worker
