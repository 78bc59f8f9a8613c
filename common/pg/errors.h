#pragma once

#include <libpq-fe.h>

#include <string>
#include <string_view>

#include "common/base/error.h"

namespace weir::pg {

// Internal to common/pg: what PostgreSQL says as an Error (DESIGN §5). Only its primary message is taken:
// detail and context quote rows.
Error FromResult(const PGresult* result);
// A failed connect, in PQERRORS_VERBOSE. `where` as DescribeUrl.
Error FromConnectFailure(const PGconn* conn, const std::string& where);
// The first line of a libpq text, safe to show.
std::string FirstLine(std::string_view text);

}  // namespace weir::pg
