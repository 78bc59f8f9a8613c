#pragma once

#include <string>
#include <vector>

#include "common/config/config.h"

namespace weir {

// A line for each variable of the environment that has weir's prefix and means nothing to it, with the name
// that was likely meant. What `config` refers to (env:NAME) is not among them, nor what weir's own builds and
// tests go by.
std::vector<std::string> UnknownVariables(const ConfigInputs& inputs, const Config& config);

}  // namespace weir
