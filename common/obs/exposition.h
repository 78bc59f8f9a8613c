#pragma once

// What all programs' metrics have in common; for the files of this folder.

#include <prometheus/registry.h>

#include <string>
#include <string_view>

namespace weir {

// weir_build_info: always 1; its labels say what runs.
void AddBuildInfo(prometheus::Registry& registry, std::string_view program, std::string_view version);
// Prometheus' text exposition.
std::string Text(const prometheus::Registry& registry);

}  // namespace weir
