#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

Result<std::unique_ptr<SchemaStore>> Open(CommandContext& context) {
  const auto config = context.Load();
  if (!config) return tl::unexpected(config.error());
  return context.services->OpenSchema(*config);
}

void PrintNumbers(CommandContext& context, const char* verb, const std::vector<int>& numbers) {
  if (context.output == OutputFormat::kJson) {
    PrintJson(*context.io.out, {{verb, numbers}});
    return;
  }
  for (const int number : numbers) *context.io.out << verb << " " << number << "\n";
  if (numbers.empty()) *context.io.err << "There was nothing to do.\n";
}

class MigrateUpCommand final : public Command {
 public:
  void Declare(CLI::App&) override {}
  Result<int> Run(CommandContext& context) override {
    auto store = Open(context);
    if (!store) return tl::unexpected(store.error());
    const auto numbers = (*store)->Up();
    if (!numbers) return tl::unexpected(numbers.error());
    PrintNumbers(context, "applied", *numbers);
    return kOk;
  }
};

class MigrateDownCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("--steps", steps_, "How many")
        ->check(CLI::Range(1, 10'000))
        ->type_name("N")
        ->capture_default_str();
    app.add_flag("--yes", yes_, "Tables and what is in them are dropped: say that it is meant");
  }
  Result<int> Run(CommandContext& context) override {
    if (!yes_) {
      return Fail(ErrorClass::kConfig, "migrate down drops tables with their rows",
                  "add --yes if it is meant; `weir migrate status` shows what is applied");
    }
    auto store = Open(context);
    if (!store) return tl::unexpected(store.error());
    const auto numbers = (*store)->Down(steps_);
    if (!numbers) return tl::unexpected(numbers.error());
    PrintNumbers(context, "reverted", *numbers);
    return kOk;
  }

 private:
  int steps_ = 1;
  bool yes_ = false;
};

class MigrateStatusCommand final : public Command {
 public:
  void Declare(CLI::App&) override {}
  Result<int> Run(CommandContext& context) override {
    auto store = Open(context);
    if (!store) return tl::unexpected(store.error());
    const auto states = (*store)->Status();
    if (!states) return tl::unexpected(states.error());
    auto array = nlohmann::ordered_json::array();
    Table table({{"NUMBER", true}, {"MIGRATION"}, {"STATE"}, {"APPLIED AT"}});
    bool pending = false;
    for (const pg::MigrationStatus& m : *states) {
      const std::string state(pg::ToString(m.state));
      array.push_back(
          {{"number", m.number}, {"name", m.name}, {"state", state}, {"applied_at", m.applied_at}});
      table.AddRow({std::to_string(m.number), m.name, Table::Cell(state, StateColour(state)),
                    m.applied_at.empty() ? "-" : m.applied_at});
      pending = pending || m.state == pg::MigrationState::kPending;
    }
    if (context.output == OutputFormat::kJson) {
      PrintJson(*context.io.out, array);
    } else {
      table.Print(*context.io.out, context.io.out_colour);
      if (pending) *context.io.err << "Bring it up to date: weir migrate up\n";
    }
    return kOk;
  }
};

}  // namespace

std::unique_ptr<Command> MakeMigrateUpCommand() { return std::make_unique<MigrateUpCommand>(); }
std::unique_ptr<Command> MakeMigrateDownCommand() { return std::make_unique<MigrateDownCommand>(); }
std::unique_ptr<Command> MakeMigrateStatusCommand() { return std::make_unique<MigrateStatusCommand>(); }

}  // namespace weir::cli
