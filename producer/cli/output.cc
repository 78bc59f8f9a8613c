#include "producer/cli/output.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/base/json_text.h"
#include "producer/cli/standard_output.h"

namespace weir::cli {
namespace {

const char* Code(Colour colour) {
  switch (colour) {
    case Colour::kGreen:
      return "32";
    case Colour::kYellow:
      return "33";
    case Colour::kRed:
      return "31";
    case Colour::kBlue:
      return "34";
    case Colour::kGrey:
      return "90";
    case Colour::kBold:
      return "1";
    case Colour::kNone:
      break;
  }
  return "0";
}

bool Set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

Io ProcessIo() {
  // Never freed: cerr, which flushes it, may be written to until the process ends.
  static StandardOutput& out = *new StandardOutput(STDOUT_FILENO);
  // What was printed first is seen first, also where both go to one terminal.
  std::cerr.tie(&out);
  Io io{&out, &std::cerr};
  io.out_error = [] { return out.Error(); };
  const char* term = std::getenv("TERM");
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  io.out_is_terminal = isatty(STDOUT_FILENO) != 0;
  io.err_is_terminal = isatty(STDERR_FILENO) != 0 && !dumb;
  const bool colour = !Set("NO_COLOR") && !dumb;
  io.out_colour = io.out_is_terminal && colour;
  io.err_colour = io.err_is_terminal && colour;
  winsize size{};
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) io.width = size.ws_col;
  }
  return io;
}

std::string Paint(std::string_view text, Colour colour, bool enabled) {
  if (!enabled || colour == Colour::kNone) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", Code(colour), text);
}

Colour StateColour(std::string_view state) {
  if (state == "succeeded" || state == "done" || state == "ok" || state == "applied") return Colour::kGreen;
  if (state == "partial" || state == "paused" || state == "parked" || state == "warn" || state == "pending")
    return Colour::kYellow;
  if (state == "failed" || state == "dead" || state == "fail" || state == "expired") return Colour::kRed;
  if (state == "running" || state == "dispatched") return Colour::kBlue;
  if (state == "cancelled" || state == "queued" || state == "planned") return Colour::kGrey;
  return Colour::kNone;
}

int DisplayWidth(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

std::string Shorten(std::string_view text, int width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width <= 0) return {};
  std::size_t end = 0;
  for (int columns = 0; end < text.size(); ++end) {
    if (!IsContinuation(text[end]) && ++columns == width) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string Grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string Counted(std::int64_t number, std::string_view noun) {
  return fmt::format("{} {}{}", Grouped(number), noun, number == 1 ? "" : "s");
}

void Table::AddRow(std::vector<Cell> row) {
  row.resize(columns_.size(), Cell(""));
  for (Cell& cell : row) cell.text = Printable(cell.text, 4096);
  rows_.push_back(std::move(row));
}

int Table::WidthOf(std::size_t column) const {
  int width = DisplayWidth(columns_[column].title);
  for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[column].text));
  return width;
}

std::vector<std::size_t> Table::Shown(int width) const {
  std::vector<std::size_t> shown;
  int total = 0;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    shown.push_back(c);
    total += WidthOf(c) + 2;
  }
  for (std::size_t at = shown.size(); width > 0 && total - 2 > width && at-- > 0;) {
    const std::size_t c = shown[at];
    const bool empty =
        std::all_of(rows_.begin(), rows_.end(), [c](const auto& row) { return row[c].text == "0"; });
    if (!columns_[c].spare || !empty) continue;
    total -= WidthOf(c) + 2;
    shown.erase(shown.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return shown;
}

void Table::Print(std::ostream& out, bool colour, int width) const {
  const std::vector<std::size_t> shown = Shown(width);
  std::vector<int> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) widths.push_back(WidthOf(c));
  const auto print = [&](std::size_t c, std::string_view text, Colour paint) {
    const auto pad = static_cast<std::size_t>(widths[c] - DisplayWidth(text));
    const bool last = c == shown.back();
    if (columns_[c].right) out << std::string(pad, ' ');
    out << Paint(text, paint, colour);
    if (!columns_[c].right && !last) out << std::string(pad, ' ');
    out << (last ? "\n" : "  ");
  };
  for (const std::size_t c : shown) print(c, columns_[c].title, Colour::kBold);
  for (const auto& row : rows_) {
    for (const std::size_t c : shown) print(c, row[c].text, row[c].colour);
  }
}

void PrintJson(std::ostream& out, const nlohmann::ordered_json& value) {
  out << ShowableJson(value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)) << "\n";
}

void PrintError(const Io& io, const Error& error, std::string_view try_command) {
  std::ostream& err = *io.err;
  err << Paint("error:", Colour::kRed, io.err_colour) << " " << Printable(error.message, 2000) << "\n";
  // Most sources' messages begin with it.
  const bool said = error.message.find(fmt::format("HTTP {}", error.http_status)) != std::string::npos;
  if (error.http_status != 0 && !said) err << "  the upstream answered HTTP " << error.http_status << "\n";
  if (!error.hint.empty())
    err << Paint("hint:", Colour::kYellow, io.err_colour) << " " << Printable(error.hint, 2000) << "\n";
  if (!try_command.empty()) err << Paint("try:", Colour::kBlue, io.err_colour) << " " << try_command << "\n";
  err.flush();
}

void PrintRemark(const Io& io, std::string_view text) {
  *io.err << Printable(text, 4096) << '\n' << std::flush;
}

std::string WaitsForDatabase(std::string_view reason) {
  constexpr std::string_view kWaits = "waits for the database";
  return reason.empty() ? std::string(kWaits) : fmt::format("{}: {}", kWaits, Printable(reason, 300));
}

void PrintWarning(const Io& io, std::string_view text) {
  *io.err << Paint("warning:", Colour::kYellow, io.err_colour) << " " << Printable(text, 2000) << "\n";
}

}  // namespace weir::cli
