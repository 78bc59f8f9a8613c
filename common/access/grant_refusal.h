#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/http/http_message.h"

namespace weir {

// What the error of a token endpoint (RFC 6749 §5.2) says about the refresh token that was sent.
struct GrantRefusal {
  enum class Of {
    kToken,   // invalid_grant: the refresh token is spent, expired or revoked
    kClient,  // the client or the form of the request is refused; the refresh token was not looked at
  } of = Of::kClient;
  std::string code;         // "invalid_grant"
  std::string description;  // the upstream's words, printable, ≤ 200 bytes; may be empty
};

// Nothing when the answer does not hold one of the errors of RFC 6749: then it does not come from the token
// endpoint (a proxy's page, HighLevel's {"error": "Bad Request"}), and tells nothing about the token.
std::optional<GrantRefusal> ReadGrantRefusal(const HttpResponseHead& head, std::string_view document);

}  // namespace weir
