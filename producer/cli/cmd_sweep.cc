#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <nlohmann/json.hpp>
#include <ostream>

#include "common/base/json_text.h"
#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/job_id.h"
#include "producer/cli/sync_options.h"

namespace weir::cli {
namespace {

using Json = nlohmann::ordered_json;

double PercentOf(const SweepPlan& plan) {
  return plan.live == 0 ? 0 : 100.0 * static_cast<double>(plan.to_mark) / static_cast<double>(plan.live);
}

Json PlanJson(const SweepPlan& plan) {
  Json object = {{"plan", plan.id},
                 {"state", plan.applied_at.empty() ? "planned" : "applied"},
                 {"source", plan.source},
                 {"stream", plan.stream},
                 {"account", plan.account},
                 {"job", plan.job.value},
                 {"began_at", plan.began_at},
                 {"created_at", plan.created_at},
                 {"applied_at", plan.applied_at.empty() ? Json(nullptr) : Json(plan.applied_at)},
                 {"live", plan.live},
                 {"met", plan.met},
                 {"to_mark", plan.to_mark},
                 {"percent", PercentOf(plan)},
                 {"marked", plan.marked},
                 {"thresholds",
                  {{"max_stale_percent", plan.limits.percent},
                   {"max_stale_rows", plan.limits.rows},
                   {"within", plan.within}}},
                 {"sample", Json::array()}};
  for (const SweepSample& row : plan.sample) {
    object["sample"].push_back(
        {{"id", row.id}, {"first_seen_at", row.first_seen_at}, {"updated_at", row.updated_at}});
  }
  return object;
}

void PrintPlan(const Io& io, const SweepPlan& plan) {
  std::ostream& out = *io.out;
  out << fmt::format("plan {}: {}/{}, account {}\n", plan.id, plan.source, plan.stream,
                     Printable(plan.account))
      << fmt::format("rests on job {}, which began at {} and met {} records\n", plan.job.value, plan.began_at,
                     Grouped(plan.met))
      << fmt::format("{} of {} rows to mark stale, {:.1f} %; unasked at most {} % or {} rows\n",
                     Grouped(plan.to_mark), Grouped(plan.live), PercentOf(plan), plan.limits.percent,
                     Grouped(plan.limits.rows));
  if (plan.sample.empty()) return;
  out << "\n";
  Table table({{"ID"}, {"FIRST SEEN"}, {"UPDATED"}});
  for (const SweepSample& row : plan.sample) table.AddRow({row.id, row.first_seen_at, row.updated_at});
  table.Print(out, io.out_colour);
}

class SweepPlanCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("stream", target_, "The stream")->required()->type_name("SOURCE/STREAM");
    app.add_option("-a,--account", account_, "Whose rows")->required()->type_name("NAME");
    app.add_option("--job", job_, "The full job to rest on; else the account's last one")->type_name("JOB");
  }

  Result<int> Run(CommandContext& context) override {
    const auto name = ParseStreamName(target_);
    if (!name) return tl::unexpected(name.error());
    SweepRequest request{name->source, name->stream, account_, std::nullopt};
    if (!job_.empty()) {
      const auto job = ParseJobId(job_);
      if (!job) return tl::unexpected(job.error());
      request.job = *job;
    }
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto plan = (*store)->PlanSweep(request, SweepLimitsOf(*config, request.source));
    if (!plan) return tl::unexpected(plan.error());
    if (context.output == OutputFormat::kJson) {
      PrintJson(*context.io.out, PlanJson(*plan));
    } else {
      PrintPlan(context.io, *plan);
    }
    *context.io.err << (plan->to_mark == 0
                            ? std::string("There is nothing to mark.\n")
                            : fmt::format("Nothing is marked yet: weir sweep apply {}\n", plan->id));
    return kOk;
  }

 private:
  std::string target_, account_, job_;
};

class SweepApplyCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("plan", plan_, "The plan's number")->required()->type_name("PLAN");
  }

  Result<int> Run(CommandContext& context) override {
    std::int64_t id = 0;
    const char* const end = plan_.data() + plan_.size();
    const auto [stop, error] = std::from_chars(plan_.data(), end, id);
    if (error != std::errc() || stop != end || id <= 0) {
      return Fail(ErrorClass::kConfig, fmt::format("\"{}\" is not a plan's number", Printable(plan_, 60)),
                  "`weir sweep plan` makes a plan and tells its number");
    }
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto plan =
        (*store)->ApplySweep(id, [&](std::string_view source) { return SweepLimitsOf(*config, source); });
    if (!plan) return tl::unexpected(plan.error());
    if (context.output == OutputFormat::kJson) PrintJson(*context.io.out, PlanJson(*plan));
    *context.io.err << fmt::format("{} rows of {}/{} of {} are marked stale.\n", Grouped(plan->marked),
                                   plan->source, plan->stream, Printable(plan->account));
    return kOk;
  }

 private:
  std::string plan_;
};

}  // namespace

std::unique_ptr<Command> MakeSweepPlanCommand() { return std::make_unique<SweepPlanCommand>(); }
std::unique_ptr<Command> MakeSweepApplyCommand() { return std::make_unique<SweepApplyCommand>(); }

}  // namespace weir::cli
