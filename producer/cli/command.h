#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/config/config.h"
#include "producer/cli/output.h"
#include "producer/cli/services.h"
#include "producer/cli/stop_signal.h"
#include "producer/cli/sync_options.h"

namespace CLI {
class App;
}

namespace weir::cli {

struct CommandContext;

struct PreviewOptions {
  std::string source, stream, account;
  int records = 3;
};

struct CheckOptions {
  std::string source;                  // "" = all
  std::optional<std::string> account;  // whose access is tried
};

// The modules behind the commands that do more than ask the ledger. Each prints through the context and
// returns the exit code. A command whose action is not set is not offered.
struct Actions {
  template <typename Options>
  using Action = std::function<Result<int>(const Options&, CommandContext&)>;
  using PlainAction = std::function<Result<int>(CommandContext&)>;

  Action<SyncOptions> sync;
  Action<SyncOptions> enqueue;
  Action<SyncOptions> plan;
  Action<CheckOptions> check;
  Action<PreviewOptions> preview;
  PlainAction serve;
  PlainAction up;
  PlainAction down;
};

// What every command has. Owned by RunCli for one run.
struct CommandContext {
  Io io;
  OutputFormat output = OutputFormat::kTable;
  ConfigInputs inputs;  // --config, --set and --log-level are in it
  Services* services = nullptr;
  StopSignal* stop = nullptr;
  const Clock* clock = nullptr;
  const Actions* actions = nullptr;
  const CLI::App* root = nullptr;  // the whole command line, for completion

  // The configuration; of a variable that looks like a setting and is none, it tells the user.
  Result<Config> Load() const;
};

// One command: declares its options, then runs with what they were set to.
class Command {
 public:
  virtual ~Command() = default;
  virtual void Declare(CLI::App& app) = 0;
  // The exit code, or an error which RunCli prints and turns into one.
  virtual Result<int> Run(CommandContext& context) = 0;
};

struct CommandEntry {
  std::string path;     // "failures list"; the words before the last are groups
  std::string summary;  // one line
  std::string example;  // command lines, shown by --help
  std::function<std::unique_ptr<Command>()> make;
  bool hidden = false;
};

// Every command of this program, in the order of the help. `actions` outlives them.
std::vector<CommandEntry> Commands(const Actions& actions);

}  // namespace weir::cli
