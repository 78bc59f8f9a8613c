#include "producer/cli/failure_view.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "common/base/json_text.h"

namespace weir::cli {
namespace {

using Json = nlohmann::ordered_json;

// Text of an upstream, line by line, each safe to show.
void PrintBlock(std::ostream& out, std::string_view title, std::string_view text) {
  if (text.empty()) return;
  out << title << ":\n";
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    out << "  " << Printable(line, 4096) << "\n";
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Json FailureJson(const ledger::Failure& f) {
  return {{"task", f.task.value},   {"job", f.job.value},
          {"account", f.account},   {"page", f.page},
          {"class", f.error_class}, {"http_status", f.http_status == 0 ? Json(nullptr) : Json(f.http_status)},
          {"attempts", f.attempts}, {"message", f.message},
          {"hint", f.hint}};
}

Json FailureDetailJson(const ledger::Failure& f) {
  Json object = FailureJson(f);
  object["source"] = f.source;
  object["stream"] = f.stream;
  object["finished_at"] = f.finished_at;
  object["replays"] = f.replays;
  object["request"] = f.request;
  object["response_head"] = f.head;
  object["response_body"] = f.body;
  return object;
}

Json FailureGroupJson(const ledger::FailureGroup& g) {
  return {{"class", g.error_class}, {"tasks", g.tasks},    {"jobs", g.jobs},
          {"accounts", g.accounts}, {"first", g.first_at}, {"last", g.last_at},
          {"message", g.message},   {"hint", g.hint},      {"last_task", g.last.value}};
}

void PrintFailureGroups(const Io& io, const std::vector<ledger::FailureGroup>& groups) {
  if (groups.empty()) {
    *io.err << "No task is dead.\n";
    return;
  }
  Table table(
      {{"CLASS"}, {"TASKS", true}, {"JOBS", true}, {"ACCOUNTS", true}, {"FIRST"}, {"LAST"}, {"HINT"}});
  for (const ledger::FailureGroup& g : groups) {
    table.AddRow({Table::Cell(g.error_class, Colour::kRed), g.tasks, g.jobs, g.accounts, g.first_at,
                  g.last_at, Shorten(g.hint.empty() ? g.message : g.hint, 80)});
  }
  table.Print(*io.out, io.out_colour);
  *io.out << "\n";
}

void PrintFailureList(const Io& io, const std::vector<ledger::Failure>& failures) {
  Table table({{"TASK", true},
               {"JOB", true},
               {"ACCOUNT"},
               {"PAGE"},
               {"CLASS"},
               {"HTTP", true},
               {"TRIES", true},
               {"MESSAGE"}});
  for (const ledger::Failure& f : failures) {
    table.AddRow({std::to_string(f.task.value), std::to_string(f.job.value), f.account, f.page,
                  Table::Cell(f.error_class, Colour::kRed),
                  f.http_status == 0 ? "-" : std::to_string(f.http_status),
                  static_cast<std::int64_t>(f.attempts), Shorten(f.message, 80)});
  }
  table.Print(*io.out, io.out_colour);
  *io.err << "One in full: weir failures show TASK; again: weir replay JOB --all (or --class CLASS)\n";
}

void PrintFailure(const Io& io, const ledger::Failure& f) {
  std::ostream& out = *io.out;
  out << fmt::format("task {} of job {}: {}/{}, account {}, {}\n", f.task.value, f.job.value, f.source,
                     f.stream, Printable(f.account), Printable(f.page))
      << Paint(f.error_class, Colour::kRed, io.out_colour) << " after " << f.attempts << " tries";
  if (f.http_status != 0) out << ", HTTP " << f.http_status;
  if (!f.finished_at.empty()) out << ", at " << f.finished_at;
  if (f.replays > 0) out << ", replayed " << f.replays << " times before";
  out << "\n";
  PrintBlock(out, "message", f.message);
  PrintBlock(out, "hint", f.hint);
  PrintBlock(out, "request", f.request);
  PrintBlock(out, "response head", f.head);
  PrintBlock(out, "response body", f.body);
  *io.err << "Once mended: weir replay " << f.job.value << " --page " << f.task.value << "\n";
}

}  // namespace weir::cli
