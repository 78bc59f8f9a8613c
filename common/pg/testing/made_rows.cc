#include "common/pg/testing/made_rows.h"

#include <libpq-fe.h>

#include <stdexcept>

namespace weir::pg {

Rows MakeRows(int columns, const std::vector<std::vector<std::optional<std::string>>>& rows) {
  PGresult* const result = PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK);
  Rows made(result);
  std::vector<std::string> names;
  std::vector<PGresAttDesc> attributes(static_cast<std::size_t>(columns));
  for (int i = 0; i < columns; ++i) names.push_back("c" + std::to_string(i));
  for (std::size_t i = 0; i < names.size(); ++i) attributes[i].name = names[i].data();
  bool ok = PQsetResultAttrs(result, columns, attributes.data()) != 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t column = 0; column < rows[row].size(); ++column) {
      std::optional<std::string> value = rows[row][column];
      const int size = value ? static_cast<int>(value->size()) : -1;
      ok = ok && PQsetvalue(result, static_cast<int>(row), static_cast<int>(column),
                            value ? value->data() : nullptr, size) != 0;
    }
  }
  if (!ok) throw std::runtime_error("libpq takes no such rows");
  return made;
}

}  // namespace weir::pg
