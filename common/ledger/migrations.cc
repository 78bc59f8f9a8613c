#include "common/ledger/migrations.h"

#include <charconv>
#include <map>
#include <span>
#include <string>

#include "common/base/embedded_file.h"

namespace weir::embedded {
std::span<const EmbeddedFile> LedgerSql();
std::span<const EmbeddedFile> SourceSql();
}  // namespace weir::embedded

namespace weir::ledger {
namespace {

// Source tables have their number here: the order in which they came into being.
constexpr struct {
  int number;
  std::string_view name;
  std::string_view folder;
} kSourceTables[] = {
    {2, "lichess_tables", "common/sources/lichess/"},
    {3, "chesscom_tables", "common/sources/chesscom/"},
    {4, "highlevel_tables", "common/sources/highlevel/"},
};

std::string_view SourceText(std::string_view folder, std::string_view file) {
  for (const embedded::EmbeddedFile& entry : embedded::SourceSql()) {
    if (entry.path.starts_with(folder) && entry.path.ends_with(file)) return entry.text;
  }
  return {};
}

// ".../0001_ledger.up.sql" → 1, "ledger".
void AddLedgerFile(std::map<int, pg::Migration>& all, const embedded::EmbeddedFile& file) {
  std::string_view name = file.path.substr(file.path.rfind('/') + 1);
  int number = 0;
  std::from_chars(name.data(), name.data() + 4, number);
  pg::Migration& migration = all[number];
  migration.number = number;
  migration.name = name.substr(5, name.find('.') - 5);
  (name.ends_with(".up.sql") ? migration.up : migration.down) = file.text;
}

std::vector<pg::Migration> Build() {
  std::map<int, pg::Migration> all;
  for (const embedded::EmbeddedFile& file : embedded::LedgerSql()) AddLedgerFile(all, file);
  for (const auto& table : kSourceTables) {
    all[table.number] = {table.number, table.name, SourceText(table.folder, "table.up.sql"),
                         SourceText(table.folder, "table.down.sql")};
  }
  std::vector<pg::Migration> list;
  for (const auto& [number, migration] : all) list.push_back(migration);
  return list;
}

}  // namespace

const std::vector<pg::Migration>& AllMigrations() {
  static const std::vector<pg::Migration> kAll = Build();
  return kAll;
}

}  // namespace weir::ledger
