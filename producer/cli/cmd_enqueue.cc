#include "producer/cli/commands.h"

namespace weir::cli {
namespace {

class EnqueueCommand final : public Command {
 public:
  void Declare(CLI::App& app) override { flags_.Declare(app, /*waits=*/false); }
  Result<int> Run(CommandContext& context) override {
    const auto options = ParseSyncFlags(flags_);
    if (!options) return tl::unexpected(options.error());
    return context.actions->enqueue(*options, context);
  }

 private:
  SyncFlags flags_;
};

}  // namespace

std::unique_ptr<Command> MakeEnqueueCommand() { return std::make_unique<EnqueueCommand>(); }

}  // namespace weir::cli
