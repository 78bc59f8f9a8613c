#pragma once

#include <vector>

#include "producer/cli/services.h"

namespace weir::cli {

// What `weir doctor` looks at. Each takes a few seconds at most, starts nothing and changes nothing.
std::vector<Check> CheckDatabase(const Config& config);
Check CheckBroker(const Config& config);
Check CheckHome(const Config& config);
// One request to each source's base_url: any answer that is no block is good.
std::vector<Check> CheckSources(const Config& config);

// Whether a private database was made under home.
bool HasPrivateDatabase(const Config& config);

}  // namespace weir::cli
