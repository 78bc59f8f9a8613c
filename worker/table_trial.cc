#include "worker/table_trial.h"

#include <fmt/core.h>

namespace weir::worker {
namespace {

// Something that the type takes; null where it is not known.
std::string_view EmptyOf(std::string_view type) {
  if (type == "text") return "''";
  if (type == "boolean") return "false";
  if (type == "jsonb") return "'{}'";
  if (type.starts_with("timestamptz") || type == "date") return "'epoch'";
  if (type.ends_with("[]")) return "'{}'";
  for (const char* number : {"int", "bigint", "smallint", "numeric", "double", "real"}) {
    if (type.starts_with(number)) return "0";
  }
  return "null";
}

}  // namespace

Result<void> TryTable(pg::Session& session, const TableSpec& table, std::string_view by) {
  std::string names = "account, id", values = fmt::format("'', {}", session.Quote(by));
  for (const Column& column : table.columns) {
    names += fmt::format(", {}", column.name);
    values += fmt::format(", {}", EmptyOf(column.type));
  }
  auto tried = session.Script(fmt::format(
      "begin; set local lock_timeout = '2s'; insert into {}.{} ({}, raw, content_hash) values ({}, '{{}}', "
      "0); rollback",
      table.schema, table.name, names, values));
  if (tried || tried.error().error_class == ErrorClass::kBadRecord) return {};
  return Fail(tried.error());
}

}  // namespace weir::worker
