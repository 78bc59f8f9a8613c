#pragma once

#include <string>
#include <string_view>

namespace weir {

// This build's version, "0.1.0".
std::string_view Version();

// The User-Agent of a source whose sources.<name>.user_agent is not set: names weir and asks for a contact.
std::string DefaultUserAgent(std::string_view source);

}  // namespace weir
