#include "producer/probe/plan.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "common/base/time_text.h"
#include "common/ledger/jobs.h"
#include "producer/probe/report.h"

namespace weir::probe {
namespace {

using nlohmann::ordered_json;
using std::chrono::milliseconds;

double Seconds(milliseconds time) { return static_cast<double>(time.count()) / 1000; }

ordered_json Records(const std::optional<std::int64_t>& records) {
  return records ? ordered_json(*records) : ordered_json();
}

cli::Table::Cell RecordsCell(const std::optional<std::int64_t>& records) {
  return records ? cli::Table::Cell("~" + cli::Grouped(*records)) : cli::Table::Cell("?");
}

}  // namespace

Result<AccountPlan> PlanAccount(Prober& prober, const Source& source, const AccountSettings& account,
                                const cli::SyncOptions& options,
                                const std::optional<ledger::KnownAccount>& known) {
  AccountPlan plan;
  plan.account = account.account.name;
  plan.meter = account.meter;
  plan.lanes = account.lanes;
  const bool again = known && known->full_sync_done;
  plan.mode = ledger::ModeForAll(options.mode, options.filter)
                  .value_or(again ? JobMode::kIncremental : JobMode::kFull);
  TaskContext context = DiscoverContext(account, options.stream);
  if (known) context.account.canonical = known->canonical;
  context.mode = plan.mode;
  context.filter = options.filter;
  auto document = prober.Discover(source, account, context);
  if (!document) return Fail(document.error());
  context.now_ms = document->now_ms;
  std::vector<NewTask> tasks;
  const AccountState state = known ? known->state : AccountState{};
  auto planned = source.Plan(context, state, document->document, [&](NewTask task) -> Result<void> {
    tasks.push_back(std::move(task));
    return {};
  });
  if (!planned) return Fail(planned.error());
  plan.tasks = static_cast<std::int64_t>(tasks.size());
  plan.estimate = source.EstimatePlan(context, document->document, tasks);
  ++plan.estimate.requests;
  plan.estimate.time += prober.RoundTrip().value_or(milliseconds(0));
  return plan;
}

PlanTotals TotalsOf(const std::vector<AccountPlan>& plans) {
  PlanTotals totals;
  totals.records = 0;
  std::map<std::string, milliseconds> by_meter;
  for (const AccountPlan& plan : plans) {
    if (plan.error) continue;
    totals.tasks += plan.tasks;
    totals.requests += plan.estimate.requests;
    if (!plan.estimate.records) totals.records.reset();
    if (totals.records) *totals.records += *plan.estimate.records;
    milliseconds& busy = by_meter[plan.meter];
    busy += plan.estimate.time / std::max(plan.lanes, 1);
    totals.time = std::max(totals.time, busy);
  }
  return totals;
}

ordered_json PlanJson(const cli::SyncOptions& options, const std::vector<AccountPlan>& plans) {
  ordered_json accounts = ordered_json::array();
  for (const AccountPlan& plan : plans) {
    ordered_json account{{"account", plan.account}};
    if (plan.error) {
      account["error"] = ErrorJson(*plan.error);
    } else {
      account.update({{"mode", ToString(plan.mode)},
                      {"meter", plan.meter},
                      {"tasks", plan.tasks},
                      {"requests", plan.estimate.requests},
                      {"records", Records(plan.estimate.records)},
                      {"seconds", Seconds(plan.estimate.time)},
                      {"error", nullptr}});
    }
    accounts.push_back(std::move(account));
  }
  const PlanTotals totals = TotalsOf(plans);
  return {{"source", options.source},
          {"stream", options.stream},
          {"accounts", std::move(accounts)},
          {"totals",
           {{"tasks", totals.tasks},
            {"requests", totals.requests},
            {"records", Records(totals.records)},
            {"seconds", Seconds(totals.time)}}}};
}

void PrintPlan(const cli::Io& io, const std::vector<AccountPlan>& plans) {
  cli::Table table(
      {{"ACCOUNT"}, {"MODE"}, {"TASKS", true}, {"REQUESTS", true}, {"RECORDS", true}, {"TIME", true}});
  for (const AccountPlan& plan : plans) {
    if (plan.error) {
      table.AddRow({plan.account, {"failed", cli::StateColour("failed")}, "-", "-", "-", "-"});
      continue;
    }
    table.AddRow({plan.account, std::string(ToString(plan.mode)), plan.tasks, plan.estimate.requests,
                  RecordsCell(plan.estimate.records), "~" + FormatDuration(plan.estimate.time)});
  }
  const PlanTotals totals = TotalsOf(plans);
  if (plans.size() > 1) {
    table.AddRow({{"total", cli::Colour::kBold},
                  "",
                  totals.tasks,
                  totals.requests,
                  RecordsCell(totals.records),
                  "~" + FormatDuration(totals.time)});
  }
  table.Print(*io.out, io.out_colour);
  for (const AccountPlan& plan : plans) {
    if (plan.error) PrintAccountError(io, plan.account, *plan.error);
  }
}

}  // namespace weir::probe
