#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/pg/session.h"

namespace weir::pg {

// Rows as a server would answer them, in the text format; nullopt = NULL. All rows have `columns` values.
Rows MakeRows(int columns, const std::vector<std::vector<std::optional<std::string>>>& rows);

}  // namespace weir::pg
