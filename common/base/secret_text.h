#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "common/base/error.h"
#include "common/base/secret.h"

namespace weir {

// Some upstreams answer with the token that they refuse. What is kept or shown of an answer goes through
// here, with the account's secrets. A secret is found as it is and as URLs and JSON spell it (%2F, \/,
// \u002f); so is its beginning, from eight characters on, and from four on where a text was cut: whoever cuts
// a text before it comes here leaves no more than three. Shorter values than eight bytes are no secrets, and
// would tear common words apart.
std::string WithoutSecrets(std::string_view text, const std::map<std::string, Secret>& secrets);

// The first `most` bytes of `text`, likewise. A secret that begins among them is taken out whole: the caller
// keeps SecretReach bytes more than `most`, so that it is there whole.
std::string WithoutSecrets(std::string_view text, const std::map<std::string, Secret>& secrets,
                           std::size_t most);
// The most bytes that any of them may take up in a text.
std::size_t SecretReach(const std::map<std::string, Secret>& secrets);

// All texts of the error.
Error WithoutSecrets(Error error, const std::map<std::string, Secret>& secrets);

}  // namespace weir
