#pragma once

#include <string>
#include <string_view>

namespace weir::sim {

enum class Coding { kGzip, kZlib, kRawDeflate };
std::string Encode(std::string_view text, Coding coding);

}  // namespace weir::sim
