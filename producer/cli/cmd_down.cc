#include "producer/cli/commands.h"

namespace weir::cli {
namespace {

class DownCommand final : public Command {
 public:
  void Declare(CLI::App&) override {}
  Result<int> Run(CommandContext& context) override { return context.actions->down(context); }
};

}  // namespace

std::unique_ptr<Command> MakeDownCommand() { return std::make_unique<DownCommand>(); }

}  // namespace weir::cli
