#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

const char* OriginName(Origin origin) {
  switch (origin) {
    case Origin::kDefault:
      return "default";
    case Origin::kFile:
      return "file";
    case Origin::kEnv:
      return "environment";
    case Origin::kFlag:
      return "flag";
  }
  return "";
}

class ConfigShowCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_flag("--origin", origin_, "Where each value came from");
    app.add_flag("--changed", changed_, "Only what is not the default");
  }

  Result<int> Run(CommandContext& context) override {
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto object = nlohmann::ordered_json::object();
    Table table(origin_ ? std::vector<Table::Column>{{"KEY"}, {"VALUE"}, {"ORIGIN"}}
                        : std::vector<Table::Column>{{"KEY"}, {"VALUE"}});
    for (const auto& [key, setting] : config->settings) {
      if (changed_ && setting.origin == Origin::kDefault) continue;
      nlohmann::ordered_json value = setting.value;
      if (origin_)
        value = {{"value", setting.value}, {"origin", OriginName(setting.origin)}, {"where", setting.where}};
      object[key] = std::move(value);
      const Colour colour = setting.origin == Origin::kDefault ? Colour::kGrey : Colour::kNone;
      std::vector<Table::Cell> row = {key, Table::Cell(setting.value.empty() ? "-" : setting.value, colour)};
      if (origin_)
        row.emplace_back(setting.where.empty() ? OriginName(setting.origin) : setting.where, colour);
      table.AddRow(std::move(row));
    }
    if (context.output == OutputFormat::kJson) {
      PrintJson(*context.io.out, object);
    } else {
      table.Print(*context.io.out, context.io.out_colour);
    }
    return kOk;
  }

 private:
  bool origin_ = false;
  bool changed_ = false;
};

class ConfigSchemaCommand final : public Command {
 public:
  void Declare(CLI::App&) override {}
  Result<int> Run(CommandContext& context) override {
    *context.io.out << ConfigJsonSchema();
    return kOk;
  }
};

}  // namespace

std::unique_ptr<Command> MakeConfigShowCommand() { return std::make_unique<ConfigShowCommand>(); }
std::unique_ptr<Command> MakeConfigSchemaCommand() { return std::make_unique<ConfigSchemaCommand>(); }

}  // namespace weir::cli
