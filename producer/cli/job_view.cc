#include "producer/cli/job_view.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#include "common/base/json_text.h"
#include "common/base/time_text.h"

namespace weir::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string Elapsed(double seconds) {
  return FormatDuration(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)));
}

void AddCounters(Json& object, const ledger::Counters& c) {
  object["pages"] = c.pages;
  object["fetched"] = c.fetched;
  object["inserted"] = c.inserted;
  object["updated"] = c.updated;
  object["unchanged"] = c.unchanged;
  object["rejected"] = c.rejected;
  object["duplicates"] = c.duplicates;
  object["dead_pages"] = c.dead_pages;
  object["stale"] = c.stale;
  object["requests"] = c.requests;
  object["seconds"] = std::round(c.seconds * 1000) / 1000;
}

std::vector<Table::Cell> CounterCells(const ledger::Counters& c) {
  const auto alarm = [](std::int64_t n, Colour colour) {
    return Table::Cell(Grouped(n), n > 0 ? colour : Colour::kNone);
  };
  return {c.pages,           c.fetched,
          c.inserted,        c.updated,
          c.unchanged,       alarm(c.rejected, Colour::kYellow),
          c.duplicates,      alarm(c.dead_pages, Colour::kRed),
          c.stale,           c.requests,
          Elapsed(c.seconds)};
}

void AddRow(Table& table, Table::Cell name, const std::string& state, const ledger::Counters& counters) {
  std::vector<Table::Cell> row = {std::move(name), Table::Cell(state, StateColour(state))};
  for (Table::Cell& cell : CounterCells(counters)) row.push_back(std::move(cell));
  table.AddRow(std::move(row));
}

}  // namespace

Json JobJson(const ledger::JobStatus& job) {
  Json object = {{"job", job.id.value}, {"source", job.source}, {"stream", job.stream},
                 {"mode", job.mode},    {"state", job.state},   {"accounts", Json::array()}};
  for (const ledger::AccountStatus& a : job.accounts) {
    Json account = {{"account", a.account}, {"state", a.state}};
    AddCounters(account, a.counters);
    // Only where the upstream tells how much there is.
    if (a.total_before) {
      account["total"] = {{"begin", *a.total_before}, {"end", *a.total_after}};
      if (a.met) account["total"]["met"] = *a.met;
    }
    // Only where far fewer came.
    if (a.FallsShort()) {
      account["estimate"] = {{"about", *a.estimate}, {"came", a.carried + a.counters.fetched}};
    }
    // Only where a sweep was not done: the shape of a good run stays as documented.
    if (a.sweep == "held" || a.sweep == "refused" || a.sweep == "spent") {
      account["sweep"] = {{"state", a.sweep}, {"reason", a.sweep_reason}};
    }
    // Likewise.
    if (!a.error_class.empty()) {
      account["error"] = {{"class", a.error_class}, {"message", a.error_message}, {"hint", a.error_hint}};
    }
    object["accounts"].push_back(std::move(account));
  }
  Json totals = Json::object();
  AddCounters(totals, job.totals);
  object["totals"] = std::move(totals);
  return object;
}

void PrintJobTable(const Io& io, const ledger::JobStatus& job) {
  std::ostream& out = *io.out;
  out << fmt::format("{}/{}  job {}  {}  ", job.source, job.stream, job.id.value, job.mode)
      << Paint(job.state, StateColour(job.state), io.out_colour) << "  " << Elapsed(job.seconds) << "\n\n";
  Table table({{"ACCOUNT"},
               {"STATE"},
               {"PAGES", true},
               {"FETCHED", true},
               {"INSERTED", true},
               {"UPDATED", true, true},
               {"UNCHANGED", true, true},
               {"REJECTED", true, true},
               {"DUPLICATES", true, true},
               {"DEAD", true, true},
               {"STALE", true, true},
               {"REQUESTS", true},
               {"TIME", true}});
  for (const ledger::AccountStatus& a : job.accounts) AddRow(table, a.account, a.state, a.counters);
  if (job.accounts.size() != 1) AddRow(table, Table::Cell("total", Colour::kBold), job.state, job.totals);
  table.Print(out, io.out_colour, io.out_is_terminal ? io.width : 0);
  out.flush();
}

namespace {

// Rows that were not marked although the sync did not meet them.
void PrintSweepRemarks(const Io& io, const ledger::JobStatus& job) {
  constexpr int kMostAccounts = 10;
  int not_swept = 0;
  for (const ledger::AccountStatus& a : job.accounts) {
    if (a.sweep != "held" && a.sweep != "refused") continue;
    if (++not_swept > kMostAccounts) continue;
    PrintWarning(io, fmt::format("{}: no row was marked stale: {}", a.account, a.sweep_reason));
  }
  if (not_swept > kMostAccounts)
    PrintWarning(io, fmt::format("nor any of {} more accounts", not_swept - kMostAccounts));
}

// What the upstream said there is, where that changed while it was read, or is not what came.
void PrintTotalRemarks(const Io& io, const ledger::JobStatus& job) {
  constexpr int kMostAccounts = 10;
  int told = 0;
  for (const ledger::AccountStatus& a : job.accounts) {
    if (!a.total_before || !a.total_after) continue;
    const auto [least, most] = std::minmax({*a.total_before, *a.total_after});
    const bool fits = !a.met || (*a.met >= least && *a.met <= most);
    if ((least == most && fits) || ++told > kMostAccounts) continue;
    std::string text =
        fmt::format("{}: the upstream told of {} records at the beginning and of {} at the end",
                    Printable(a.account, 200), Grouped(*a.total_before), Grouped(*a.total_after));
    if (a.met) text += fmt::format("; {} different ones came", Grouped(*a.met));
    *io.err << text << "\n";
  }
  if (told > kMostAccounts) *io.err << "and so of " << Counted(told - kMostAccounts, "more account") << "\n";
}

// Accounts that were read to their end, of which far fewer records came than the upstream's own count says.
void PrintShortfalls(const Io& io, const ledger::JobStatus& job) {
  constexpr int kMostAccounts = 10;
  int told = 0;
  for (const ledger::AccountStatus& a : job.accounts) {
    if (!a.FallsShort() || ++told > kMostAccounts) continue;
    PrintWarning(io, fmt::format("{}: the upstream counts about {} records, and {} came: some may be missing",
                                 Printable(a.account, 200), Grouped(*a.estimate),
                                 Grouped(a.carried + a.counters.fetched)));
  }
  if (told > kMostAccounts) {
    PrintWarning(io, fmt::format("nor all of {}", Counted(told - kMostAccounts, "more account")));
  }
}

}  // namespace

void PrintJobRemarks(const Io& io, const ledger::JobStatus& job) {
  constexpr int kMostAccounts = 10;
  int failed = 0;
  for (const ledger::AccountStatus& a : job.accounts) {
    if (a.error_class.empty() || ++failed > kMostAccounts) continue;
    Error error =
        MakeError(ErrorClass::kInternal, fmt::format("{}: {}", a.account, a.error_message), a.error_hint);
    PrintError(io, error);
  }
  if (failed > kMostAccounts) PrintWarning(io, Counted(failed - kMostAccounts, "more account") + " failed");
  PrintTotalRemarks(io, job);
  PrintShortfalls(io, job);
  PrintSweepRemarks(io, job);
  if (job.totals.rejected > 0) {
    PrintWarning(
        io,
        Counted(job.totals.rejected, "record") +
            " could not be stored; why: select r.* from weir.rejects r join weir.tasks t on t.id = r.task_id "
            "where t.job_id = " +
            std::to_string(job.id.value));
  }
  if (job.state == "expired") {
    PrintWarning(io, "its deadline passed before all was fetched; the same sync again goes on from there");
  }
  if (job.totals.dead_pages > 0) {
    PrintWarning(io, Counted(job.totals.dead_pages, "page") + " given up");
    *io.err << "try: weir failures list --job " << job.id.value << "\n     weir replay " << job.id.value
            << " --all\n";
  }
}

void PrintJob(const Io& io, OutputFormat format, const ledger::JobStatus& job) {
  if (format == OutputFormat::kJson) {
    PrintJson(*io.out, JobJson(job));
  } else {
    PrintJobTable(io, job);
  }
  PrintJobRemarks(io, job);
}

void PrintJobList(const Io& io, const std::vector<ledger::JobStatus>& jobs) {
  if (jobs.empty()) {
    *io.err << "There are no jobs yet. Start one: weir sync lichess/games --account NAME\n";
    return;
  }
  Table table({{"JOB", true},
               {"STREAM"},
               {"MODE"},
               {"STATE"},
               {"ACCOUNTS", true},
               {"RECORDS", true},
               {"NEW", true},
               {"DEAD", true},
               {"CREATED"},
               {"TIME", true}});
  for (const ledger::JobStatus& job : jobs) {
    table.AddRow({std::to_string(job.id.value), job.source + "/" + job.stream, job.mode,
                  Table::Cell(job.state, StateColour(job.state)),
                  static_cast<std::int64_t>(job.accounts.size()), job.totals.fetched, job.totals.inserted,
                  job.totals.dead_pages, job.created_at, Elapsed(job.seconds)});
  }
  table.Print(*io.out, io.out_colour);
}

}  // namespace weir::cli
