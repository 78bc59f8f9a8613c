#pragma once

#include <functional>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace weir::cli {

enum class OutputFormat { kTable, kJson };

// Where a command prints: data to out, everything else to err. Not owned.
struct Io {
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool out_colour = false;
  bool err_colour = false;
  int width = 80;  // of the terminal
  // The errno of the first write to `out` that failed, 0 = unknown.
  std::function<int()> out_error = [] { return 0; };
};

// Of this process: stdout and stderr, with colour on a terminal unless NO_COLOR is set or TERM is dumb.
Io ProcessIo();

enum class Colour { kNone, kGreen, kYellow, kRed, kBlue, kGrey, kBold };
std::string Paint(std::string_view text, Colour colour, bool enabled);
// Of a job's, account's or task's state, or of a check's "ok", "warn", "fail".
Colour StateColour(std::string_view state);

// Columns a text takes on a terminal; bytes that are not UTF-8 count as one each.
int DisplayWidth(std::string_view text);
// Cut to `width` columns, the last of them "…" when something was cut.
std::string Shorten(std::string_view text, int width);
// 1234567 → "1,234,567".
std::string Grouped(std::int64_t number);
// "1 page", "2,000 pages".
std::string Counted(std::int64_t number, std::string_view noun);

// Aligned columns under a head. Cells may hold anything: control characters are shown as '.'.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;  // numbers
    bool spare = false;  // left out where the table is too wide and all its cells are "0"
  };
  struct Cell {
    std::string text;
    Colour colour = Colour::kNone;
    Cell(std::string t, Colour c = Colour::kNone) : text(std::move(t)), colour(c) {}  // NOLINT: brief rows
    Cell(const char* t) : text(t) {}                                                  // NOLINT
    Cell(std::int64_t number) : text(Grouped(number)) {}                              // NOLINT
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void AddRow(std::vector<Cell> row);
  // `width`: columns there are for it; 0 = as many as it wants.
  void Print(std::ostream& out, bool colour, int width = 0) const;

 private:
  int WidthOf(std::size_t column) const;
  // The columns that are printed, the spare ones given up from the right.
  std::vector<std::size_t> Shown(int width) const;
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "waits for the database: REASON", without the reason where it is not known.
std::string WaitsForDatabase(std::string_view reason);

// Two spaces of indent, a line end after it; safe to show (ShowableJson).
void PrintJson(std::ostream& out, const nlohmann::ordered_json& value);

// "error: what", "hint: …", "try: command": the last two only when there is something to say.
void PrintError(const Io& io, const Error& error, std::string_view try_command = {});
void PrintWarning(const Io& io, std::string_view text);
// One line to err, at once: what happens while a command runs. It may quote what another program said.
void PrintRemark(const Io& io, std::string_view text);

}  // namespace weir::cli
