#include "producer/cli/commands.h"

namespace weir::cli {
namespace {

class ServeCommand final : public Command {
 public:
  void Declare(CLI::App&) override {}
  Result<int> Run(CommandContext& context) override { return context.actions->serve(context); }
};

}  // namespace

std::unique_ptr<Command> MakeServeCommand() { return std::make_unique<ServeCommand>(); }

}  // namespace weir::cli
