#include "producer/cli/commands.h"

namespace weir::cli {
namespace {

class SyncCommand final : public Command {
 public:
  void Declare(CLI::App& app) override { flags_.Declare(app, /*waits=*/true); }
  Result<int> Run(CommandContext& context) override {
    const auto options = ParseSyncFlags(flags_);
    if (!options) return tl::unexpected(options.error());
    return context.actions->sync(*options, context);
  }

 private:
  SyncFlags flags_;
};

}  // namespace

std::unique_ptr<Command> MakeSyncCommand() { return std::make_unique<SyncCommand>(); }

}  // namespace weir::cli
