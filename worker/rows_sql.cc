#include "worker/rows_sql.h"

#include <fmt/core.h>

namespace weir::worker {

std::string CopySql(const TableSpec& table, bool as_text) {
  std::string sql = fmt::format("copy {}.{} (account, id, ", table.schema, table.name);
  for (const Column& column : table.columns) sql += fmt::format("{}, ", column.name);
  return sql +
         (as_text ? "raw, content_hash) from stdin; " : "raw, content_hash) from stdin (format binary); ");
}

std::string UpdateSql(const TableSpec& table, const std::string& account_literal,
                      const std::vector<std::string>& arrays, std::int64_t expected) {
  std::string set, names, unnest;
  std::size_t i = 1;
  for (const Column& column : table.columns) {
    set += fmt::format("{0} = v.{0}, ", column.name);
    names += fmt::format(", {}", column.name);
    unnest += fmt::format(", {}::{}[]", arrays[i++], column.type);
  }
  return fmt::format(
      "with written as ("
      "update {}.{} t set {}raw = v.raw, content_hash = v.content_hash, updated_at = clock_timestamp(), "
      "stale_at = null "
      "from unnest({}::text[]{}, {}::jsonb[], {}::bigint[]) as v (id{}, raw, content_hash) "
      "where t.account = {} and t.id = v.id and (t.content_hash <> v.content_hash or t.stale_at is not null) "
      "returning 1) select weir.expect_rows(count(*), {}) from written; ",
      table.schema, table.name, set, arrays[0], unnest, arrays[i], arrays[i + 1], names, account_literal,
      expected);
}

}  // namespace weir::worker
