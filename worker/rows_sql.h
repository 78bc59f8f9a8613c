#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/sources/table_spec.h"

namespace weir::worker {

// `copy schema.table (account, id, …) from stdin; ` and the column list in order.
std::string CopySql(const TableSpec& table, bool as_text);
// The UPDATE of changed rows from arrays: account, then array literals of id, columns, raw, content_hash
// (quoted). Fails as an insert of a row that is there does unless it changes `expected` rows: another lane
// was first, and the batch is looked up again.
std::string UpdateSql(const TableSpec& table, const std::string& account_literal,
                      const std::vector<std::string>& arrays, std::int64_t expected);

}  // namespace weir::worker
