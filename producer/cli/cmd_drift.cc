#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

#include "producer/cli/commands.h"
#include "producer/cli/exit_code.h"
#include "producer/cli/sync_options.h"

namespace weir::cli {
namespace {

using Json = nlohmann::ordered_json;

Json DriftJson(const ledger::DriftRow& row) {
  const auto text = [](const std::string& s) { return s.empty() ? Json(nullptr) : Json(s); };
  return {{"source", row.source},
          {"stream", row.stream},
          {"field", row.field},
          {"kind", row.kind},
          {"expected", text(row.expected)},
          {"found", text(row.found)},
          {"count", row.count},
          {"first_seen_at", row.first_seen_at},
          {"last_seen_at", row.last_seen_at}};
}

void PrintDrift(const Io& io, const std::vector<ledger::DriftRow>& rows) {
  if (rows.empty()) {
    *io.err << "All records were as their tables expect.\n";
    return;
  }
  Table table({{"STREAM"},
               {"FIELD"},
               {"DRIFT"},
               {"EXPECTED"},
               {"FOUND"},
               {"COUNT", true},
               {"FIRST SEEN"},
               {"LAST SEEN"}});
  const auto or_dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
  for (const ledger::DriftRow& row : rows) {
    table.AddRow({row.source + "/" + row.stream, row.field, row.kind, or_dash(row.expected),
                  or_dash(row.found), row.count, row.first_seen_at, row.last_seen_at});
  }
  table.Print(*io.out, io.out_colour);
}

class DriftCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("stream", target_, "Only of this stream")->type_name("SOURCE/STREAM");
  }

  Result<int> Run(CommandContext& context) override {
    StreamName name;
    if (!target_.empty()) {
      auto parsed = ParseStreamName(target_);
      if (!parsed) return tl::unexpected(parsed.error());
      name = *parsed;
    }
    const auto config = context.Load();
    if (!config) return tl::unexpected(config.error());
    auto store = context.services->OpenJobs(*config);
    if (!store) return tl::unexpected(store.error());
    const auto rows = (*store)->Drift(name.source, name.stream);
    if (!rows) return tl::unexpected(rows.error());
    if (context.output == OutputFormat::kTable) {
      PrintDrift(context.io, *rows);
      return kOk;
    }
    auto array = Json::array();
    for (const auto& row : *rows) array.push_back(DriftJson(row));
    PrintJson(*context.io.out, array);
    return kOk;
  }

 private:
  std::string target_;
};

}  // namespace

std::unique_ptr<Command> MakeDriftCommand() { return std::make_unique<DriftCommand>(); }

}  // namespace weir::cli
