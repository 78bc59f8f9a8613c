#pragma once

#include <string_view>

#include "common/base/result.h"
#include "producer/cli/sync_options.h"

namespace weir::api {

// A sync as a request's body asks for it, read by what reads the command line of `weir enqueue`. Errors:
// kInvalid when it is no JSON; kConfig when it asks for what there is not, naming the field, and the nearest
// one where it is unknown.
Result<cli::SyncOptions> ParseJobBody(std::string_view body);

}  // namespace weir::api
