#include "producer/probe/actions.h"

#include <fmt/core.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <utility>

#include "producer/cli/exit_code.h"
#include "producer/probe/check.h"
#include "producer/probe/plan.h"
#include "producer/probe/preview.h"
#include "producer/probe/probe_database.h"
#include "producer/probe/report.h"

namespace weir::probe {
namespace {

using cli::CommandContext;
using std::chrono::milliseconds;

constexpr int kWidthWithoutTerminal = 110;

std::string HolderName() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return fmt::format("probe-{}-{}", host, getpid());
}

LaneTurn::Callbacks CallbacksOf(CommandContext& context) {
  return {[&context](const std::string& text) { *context.io.err << text << std::endl; },
          [&context](milliseconds time) { return context.stop->WaitFor(time); },
          [&context] { return context.stop->Received() != 0; }};
}

// What each of the commands stands on, for one run.
struct Parts {
  Parts(Config c, ProbeDatabase d, milliseconds patience, CommandContext& context)
      : config(std::move(c)),
        accounts(config),
        database(std::move(d)),
        prober(config, database.session.get(), Turn(config, patience), CallbacksOf(context), *context.clock) {
  }

  static LaneTurnOptions Turn(const Config& config, milliseconds patience) {
    LaneTurnOptions options;
    options.holder = HolderName();
    options.lease = config.lease;
    options.patience = patience;
    return options;
  }

  const Config config;
  const AccountBook accounts;
  const ProbeDatabase database;
  Prober prober;
};

Result<std::unique_ptr<Parts>> Open(CommandContext& context, milliseconds patience,
                                    const cli::LeaseDatabase& lease = {}) {
  auto config = context.Load();
  if (!config) return Fail(config.error());
  std::error_code error;
  config->home = std::filesystem::absolute(config->home, error).string();
  auto database = OpenProbeDatabase(*config, lease);
  if (!database) return Fail(database.error());
  return std::make_unique<Parts>(std::move(*config), std::move(*database), patience, context);
}

// One account's plan; its failure is its own, unless the user or the database ended the whole.
Result<AccountPlan> PlanOne(Parts& parts, const Source& source, const std::string& name,
                            const cli::SyncOptions& options) {
  auto account = parts.accounts.Resolve(source, name);
  if (!account) return Fail(account.error());
  std::optional<ledger::KnownAccount> known;
  if (parts.database.session) {
    auto found =
        ledger::FindKnownAccount(*parts.database.session, options.source, options.stream, account->key);
    if (!found) return Fail(found.error());
    known = std::move(*found);
  }
  auto plan = PlanAccount(parts.prober, source, *account, options, known);
  if (plan) return plan;
  const ErrorClass c = plan.error().error_class;
  if (c == ErrorClass::kStopped || c == ErrorClass::kDatabase) return plan;
  AccountPlan failed;
  failed.account = name;
  failed.error = plan.error();
  return failed;
}

Result<int> Plan(const cli::SyncOptions& options, CommandContext& context, milliseconds patience,
                 const cli::LeaseDatabase& lease) {
  auto parts = Open(context, patience, lease);
  if (!parts) return Fail(parts.error());
  std::vector<AccountPlan> plans;
  std::vector<std::optional<Error>> errors;
  for (const std::string& name : options.accounts) {
    auto plan = PlanOne(**parts, *FindSource(options.source), name, options);
    if (!plan) return Fail(plan.error());
    errors.push_back(plan->error);
    plans.push_back(std::move(*plan));
  }
  if (context.output == cli::OutputFormat::kJson) {
    cli::PrintJson(*context.io.out, PlanJson(options, plans));
  } else {
    PrintPlan(context.io, plans);
  }
  return ExitCodeOf(errors);
}

Result<int> Check(const cli::CheckOptions& options, CommandContext& context, milliseconds patience) {
  auto parts = Open(context, patience);
  if (!parts) return Fail(parts.error());
  auto targets = CheckTargets((*parts)->config, options);
  if (!targets) return Fail(targets.error());
  std::vector<CheckLine> lines;
  std::vector<std::optional<Error>> errors;
  for (const CheckTarget& target : *targets) {
    auto line = CheckOne((*parts)->prober, (*parts)->accounts, target);
    if (!line) return Fail(line.error());
    errors.push_back(line->error);
    lines.push_back(std::move(*line));
  }
  if (context.output == cli::OutputFormat::kJson) {
    cli::PrintJson(*context.io.out, ChecksJson(lines));
  } else {
    PrintChecks(context.io, lines);
  }
  return ExitCodeOf(errors);
}

Result<int> ShowPreview(const cli::PreviewOptions& options, CommandContext& context, milliseconds patience) {
  auto parts = Open(context, patience);
  if (!parts) return Fail(parts.error());
  const Source& source = *FindSource(options.source);
  auto account = (*parts)->accounts.Resolve(source, options.account);
  if (!account) return Fail(account.error());
  auto records =
      Preview((*parts)->prober, (*parts)->config, source, options.stream, *account, options.records);
  if (!records) return Fail(records.error());
  if (context.output == cli::OutputFormat::kJson) {
    PrintPreviewJson(*context.io.out, *records);
  } else {
    const int width = context.io.out_is_terminal ? context.io.width : kWidthWithoutTerminal;
    PrintPreview(context.io, FindStream(source, options.stream)->table, *records, width);
  }
  if (records->empty()) *context.io.err << "the account has no records in " << options.stream << std::endl;
  for (std::size_t i = 0; i < records->size(); ++i) {
    const PreviewRecord& record = (*records)[i];
    if (record.bad.empty()) continue;
    cli::PrintWarning(context.io, fmt::format("record {} would be rejected: {}", i + 1, record.bad));
  }
  return static_cast<int>(cli::kOk);
}

}  // namespace

void AddProbeActions(cli::Actions& actions, cli::LeaseDatabase lease, milliseconds patience) {
  actions.plan = [patience, lease = std::move(lease)](const auto& options, CommandContext& context) {
    return Plan(options, context, patience, lease);
  };
  actions.check = [patience](const auto& options, CommandContext& context) {
    return Check(options, context, patience);
  };
  actions.preview = [patience](const auto& options, CommandContext& context) {
    return ShowPreview(options, context, patience);
  };
}

}  // namespace weir::probe
