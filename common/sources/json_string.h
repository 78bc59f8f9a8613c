#pragma once

#include <string>
#include <string_view>

namespace weir {

// Appends the text of a JSON string to `out`. `inner`: the string without its quotes, already checked by
// JsonWalker: its escapes are valid and its surrogates are pairs.
void AppendUnescaped(std::string& out, std::string_view inner);

}  // namespace weir
