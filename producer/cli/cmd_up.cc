#include "producer/cli/commands.h"

namespace weir::cli {
namespace {

class UpCommand final : public Command {
 public:
  void Declare(CLI::App&) override {}
  Result<int> Run(CommandContext& context) override { return context.actions->up(context); }
};

}  // namespace

std::unique_ptr<Command> MakeUpCommand() { return std::make_unique<UpCommand>(); }

}  // namespace weir::cli
