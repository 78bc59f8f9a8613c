#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/http/http_message.h"
#include "common/sources/source.h"

namespace weir::highlevel {

// As Source::RenewRequest and ReadGrant.
Result<HttpRequest> RenewRequest(const std::map<std::string, Secret>& secrets, const Secret& refresh_token);
Result<TokenGrant> ReadGrant(const HttpResponseHead& head, std::string_view document);

}  // namespace weir::highlevel
