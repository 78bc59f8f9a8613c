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
// A prepared statement that the session made is not there, or one that it makes is: the session is not what
// it was, and must begin again.
bool IsLostStatement(std::string_view sqlstate);
// The first line of a libpq text, safe to show.
std::string FirstLine(std::string_view text);

}  // namespace weir::pg
