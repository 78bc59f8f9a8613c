#include <CLI/CLI.hpp>
#include <optional>

#include "producer/cli/commands.h"

namespace weir::cli {
namespace {

class ServeCommand final : public Command {
 public:
  void Declare(CLI::App& app) override {
    app.add_option("--port", port_, "Of the control API (default: api.port, 8080); 0 = any free port")
        ->check(CLI::Range(0, 65'535))
        ->type_name("PORT");
  }
  Result<int> Run(CommandContext& context) override {
    if (port_) context.inputs.sets.push_back("api.port=" + std::to_string(*port_));
    return context.actions->serve(context);
  }

 private:
  std::optional<int> port_;
};

}  // namespace

std::unique_ptr<Command> MakeServeCommand() { return std::make_unique<ServeCommand>(); }

}  // namespace weir::cli
