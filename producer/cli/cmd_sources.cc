#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/config/nearest.h"
#include "common/config/value_text.h"
#include "common/sources/source.h"
#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

nlohmann::ordered_json SourceJson(const SourceInfo& info) {
  nlohmann::ordered_json object = {{"source", info.name},
                                   {"description", info.description},
                                   {"base_url", info.base_url},
                                   {"lanes", info.lanes},
                                   {"quota", info.quota},
                                   {"retry_after_floor", FormatExactDuration(info.retry_after_floor)},
                                   {"secrets", info.secret_names},
                                   {"streams", nlohmann::ordered_json::array()},
                                   {"params", nlohmann::ordered_json::array()}};
  for (const StreamInfo& stream : info.streams) {
    object["streams"].push_back({{"stream", stream.name},
                                 {"description", stream.description},
                                 {"table", fmt::format("{}.{}", stream.table.schema, stream.table.name)}});
  }
  for (const auto& param : info.params)
    object["params"].push_back(
        {{"name", param.name}, {"default", param.default_value}, {"help", param.help}});
  return object;
}

class SourcesListCommand final : public Command {
 public:
  void Declare(CLI::App&) override {}
  Result<int> Run(CommandContext& context) override {
    auto array = nlohmann::ordered_json::array();
    Table table({{"STREAM"}, {"TABLE"}, {"LANES", true}, {"QUOTA"}, {"SECRETS"}, {"WHAT"}});
    for (const Source* source : AllSources()) {
      const SourceInfo& info = source->Info();
      array.push_back(SourceJson(info));
      std::string secrets;
      for (const std::string& name : info.secret_names) secrets += (secrets.empty() ? "" : ", ") + name;
      for (const StreamInfo& stream : info.streams) {
        table.AddRow({info.name + "/" + stream.name,
                      fmt::format("{}.{}", stream.table.schema, stream.table.name),
                      static_cast<std::int64_t>(info.lanes), info.quota.empty() ? "-" : info.quota,
                      secrets.empty() ? "-" : secrets, stream.description});
      }
    }
    if (context.output == OutputFormat::kJson) {
      PrintJson(*context.io.out, array);
    } else {
      table.Print(*context.io.out, context.io.out_colour);
    }
    return kOk;
  }
};

class SourcesCheckCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("source", options_.source, "Which one (default: all)")->type_name("SOURCE");
    app.add_option("-a,--account", account_, "Whose access is tried")->type_name("NAME");
  }
  Result<int> Run(CommandContext& context) override {
    if (!options_.source.empty() && FindSource(options_.source) == nullptr) {
      std::vector<std::string> names;
      for (const Source* source : AllSources()) names.push_back(source->Info().name);
      return Fail(ErrorClass::kConfig, fmt::format("unknown source \"{}\"", options_.source),
                  DidYouMean(options_.source, names, "`weir sources list` shows them"));
    }
    if (!account_.empty()) options_.account = account_;
    return context.actions->check(options_, context);
  }

 private:
  CheckOptions options_;
  std::string account_;
};

class SourcesPreviewCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("stream", target_, "Which one, e.g. lichess/games")
        ->required()
        ->type_name("SOURCE/STREAM");
    app.add_option("-a,--account", options_.account, "Whose data")->required()->type_name("NAME");
    app.add_option("-n,--records", options_.records, "How many")
        ->check(CLI::Range(1, 100))
        ->type_name("N")
        ->capture_default_str();
  }
  Result<int> Run(CommandContext& context) override {
    const auto name = ParseStreamName(target_);
    if (!name) return tl::unexpected(name.error());
    options_.source = name->source;
    options_.stream = name->stream;
    return context.actions->preview(options_, context);
  }

 private:
  std::string target_;
  PreviewOptions options_;
};

}  // namespace

std::unique_ptr<Command> MakeSourcesListCommand() { return std::make_unique<SourcesListCommand>(); }
std::unique_ptr<Command> MakeSourcesCheckCommand() { return std::make_unique<SourcesCheckCommand>(); }
std::unique_ptr<Command> MakeSourcesPreviewCommand() { return std::make_unique<SourcesPreviewCommand>(); }

}  // namespace weir::cli
