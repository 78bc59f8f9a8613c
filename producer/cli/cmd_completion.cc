#include <ostream>

#include "producer/cli/commands.h"
#include "producer/cli/completion.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

class CompletionCommand final : public Command {
 public:
  explicit CompletionCommand(std::string shell) : shell_(std::move(shell)) {}
  void Declare(CLI::App&) override {}
  Result<int> Run(CommandContext& context) override {
    const CompletionNode root = DescribeApp(*context.root);
    *context.io.out << (shell_ == "bash"  ? BashCompletion(root)
                        : shell_ == "zsh" ? ZshCompletion(root)
                                          : FishCompletion(root));
    return kOk;
  }

 private:
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletionCommand(const char* shell) {
  return std::make_unique<CompletionCommand>(shell);
}

}  // namespace weir::cli
