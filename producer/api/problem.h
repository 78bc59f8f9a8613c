#pragma once

#include <string_view>

#include "common/base/error.h"
#include "common/http/http_server.h"

namespace weir::api {

// An error as RFC 9457 has it: application/problem+json with type, title, status and detail, and besides them
// a hint where there is one.
HttpReply Problem(int status, std::string_view detail, std::string_view hint = {});

// An error of our own; its class tells the status, and stands beside the detail.
HttpReply ProblemOf(const Error& error);

}  // namespace weir::api
