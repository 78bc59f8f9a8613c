#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#include "common/base/time_text.h"
#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

using Json = nlohmann::ordered_json;

// Of the requests that were answered well or with 429; nothing before the first.
std::optional<double> SuccessRate(const ledger::LaneStatus& lane) {
  const std::int64_t all = lane.successes + lane.throttles;
  if (all == 0) return std::nullopt;
  return static_cast<double>(lane.successes) / static_cast<double>(all);
}

Json LaneJson(const ledger::LaneStatus& lane) {
  const auto rate = SuccessRate(lane);
  const auto text = [](const std::string& s) { return s.empty() ? Json(nullptr) : Json(s); };
  return {{"meter", lane.lane.meter},
          {"lane", lane.lane.index},
          {"owner", text(lane.owner)},
          {"host", text(lane.host)},
          {"pid", lane.pid == 0 ? Json(nullptr) : Json(lane.pid)},
          {"account", text(lane.account)},
          {"delay_ms", std::round(lane.delay_ms * 10) / 10},
          {"successes", lane.successes},
          {"throttles", lane.throttles},
          {"success_rate", rate ? Json(std::round(*rate * 1e6) / 1e6) : Json(nullptr)},
          {"running", lane.running},
          {"sent", lane.sent},
          {"waiting", lane.waiting},
          {"waiting_for", text(lane.waiting_for)},
          {"waiting_reason", text(lane.waiting_reason)},
          {"until", text(lane.until)},
          {"waiting_ms", lane.waiting_ms}};
}

std::string WaitText(const ledger::LaneStatus& lane) {
  if (lane.until.empty()) return "-";
  const std::string more = FormatDuration(std::chrono::milliseconds(lane.waiting_ms));
  if (lane.waiting_for == "database") return WaitsForDatabase(lane.waiting_reason) + ", " + more + " more";
  return fmt::format("{}, {} more", lane.waiting_for.empty() ? "pace" : lane.waiting_for, more);
}

void PrintLanes(const Io& io, const std::vector<ledger::LaneStatus>& lanes) {
  if (lanes.empty()) {
    *io.err << "No lane was ever used.\n";
    return;
  }
  Table table({{"METER"},
               {"LANE", true},
               {"OWNER"},
               {"READS"},
               {"DELAY", true},
               {"SUCCESS", true},
               {"SENT", true},
               {"WAITING", true},
               {"WAITS FOR"},
               {"UNTIL"}});
  const auto or_dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
  for (const ledger::LaneStatus& lane : lanes) {
    const auto rate = SuccessRate(lane);
    table.AddRow({lane.lane.meter, std::to_string(lane.lane.index), or_dash(lane.owner),
                  or_dash(lane.account), fmt::format("{:.0f} ms", lane.delay_ms),
                  rate ? fmt::format("{:.1f} %", *rate * 100) : "-", lane.sent, lane.waiting, WaitText(lane),
                  or_dash(lane.until)});
  }
  table.Print(*io.out, io.out_colour);
}

class LanesCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("-a,--account", account_, "Only the lanes that this account is read on")
        ->type_name("NAME");
  }

  Result<int> Run(CommandContext& context) override {
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto lanes = (*store)->Lanes(account_);
    if (!lanes) return tl::unexpected(lanes.error());
    if (context.output == OutputFormat::kTable) {
      PrintLanes(context.io, *lanes);
      return kOk;
    }
    auto array = Json::array();
    for (const auto& lane : *lanes) array.push_back(LaneJson(lane));
    PrintJson(*context.io.out, array);
    return kOk;
  }

 private:
  std::string account_;
};

}  // namespace

std::unique_ptr<Command> MakeLanesCommand() { return std::make_unique<LanesCommand>(); }

}  // namespace weir::cli
