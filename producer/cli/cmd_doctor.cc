#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/config/version.h"
#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

constexpr char kConfiguration[] = "configuration";
constexpr char kSecrets[] = "secrets";

std::vector<Check> RunChecks(CommandContext& context, bool online) {
  std::vector<Check> checks = {{"version", "ok", "weir " + std::string(Version()), ""}};
  const auto config = context.Load();
  if (!config) {
    checks.push_back({kConfiguration, "fail", config.error().message, config.error().hint});
    return checks;
  }
  checks.push_back(
      {kConfiguration, "ok", config->file.empty() ? "no file; defaults hold" : config->file, ""});
  checks.push_back(context.services->CheckHome(*config));
  for (Check& check : context.services->CheckDatabase(*config)) checks.push_back(std::move(check));
  checks.push_back(context.services->CheckBroker(*config));
  for (const AccountConfig& account : config->accounts) {
    const auto secrets = ResolveSecrets(account);
    if (!secrets) checks.push_back({kSecrets, "fail", secrets.error().message, secrets.error().hint});
  }
  if (!online) return checks;
  for (Check& check : context.services->CheckSources(*config)) checks.push_back(std::move(check));
  return checks;
}

class DoctorCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_flag("--online", online_, "Ask each source's API for an answer, too");
  }

  Result<int> Run(CommandContext& context) override {
    const std::vector<Check> checks = RunChecks(context, online_);
    auto array = nlohmann::ordered_json::array();
    Table table({{"CHECK"}, {"STATE"}, {"WHAT"}});
    for (const Check& check : checks) {
      array.push_back(
          {{"check", check.name}, {"state", check.state}, {"detail", check.detail}, {"hint", check.hint}});
      table.AddRow({check.name, Table::Cell(check.state, StateColour(check.state)), check.detail});
      if (!check.hint.empty()) table.AddRow({"", "", Table::Cell("hint: " + check.hint, Colour::kYellow)});
    }
    if (context.output == OutputFormat::kJson) {
      PrintJson(*context.io.out, array);
    } else {
      table.Print(*context.io.out, context.io.out_colour);
    }
    const auto failed = [&](std::string_view name) {
      return std::any_of(checks.begin(), checks.end(), [&](const auto& c) {
        return c.state == "fail" && (name.empty() || c.name == name);
      });
    };
    const bool unfit = std::any_of(checks.begin(), checks.end(),
                                   [](const auto& c) { return c.state == "fail" && c.configured; });
    if (failed(kConfiguration) || failed(kSecrets) || unfit) return kUsage;
    return failed("") ? kFailed : kOk;
  }

 private:
  bool online_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDoctorCommand() { return std::make_unique<DoctorCommand>(); }

}  // namespace weir::cli
