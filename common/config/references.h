#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace weir {

// Where a secret is kept: "env:NAME" or "file:PATH". The configuration holds these, never the secret.

using EnvLookup = std::function<std::optional<std::string>(const std::string& name)>;

bool IsReference(std::string_view text);
// Reads it; a file's last newline is dropped. Errors: kConfig, naming the place and never the value.
Result<Secret> ReadReference(std::string_view reference, const EnvLookup& env);

// A database address with its password as ***, in both of libpq's forms (url and key=value).
std::string RedactDatabaseUrl(std::string_view url);
// Whether a librdkafka property holds a secret (sasl.password, ssl.key.pem, …).
bool IsSecretProperty(std::string_view name);

}  // namespace weir
