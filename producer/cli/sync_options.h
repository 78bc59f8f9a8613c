#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/selector.h"

namespace CLI {
class App;
}

namespace weir::cli {

// What `sync`, `enqueue` and `plan` were asked for, checked as far as it can be without a database.
struct SyncOptions {
  enum class OnInterrupt { kLeave, kCancel };

  std::string source, stream;         // both known
  std::vector<std::string> accounts;  // as spelled, none twice under Source::AccountKey; not empty
  std::optional<JobMode> mode;
  Filter filter;
  std::optional<int> workers;  // local ones to start; absent: 2 on the embedded broker, else 0
  std::optional<std::chrono::milliseconds> deadline;
  std::string priority = "bulk";  // "interactive" | "bulk"
  OnInterrupt on_interrupt = OnInterrupt::kLeave;
};

// The options as written on the command line, or in a request.
struct SyncFlags {
  std::string dashes = "--";  // before an option's name in an error
  std::string target;
  std::vector<std::string> accounts, account_files;
  std::string mode, since, until, deadline, priority = "bulk", on_interrupt = "leave";
  std::optional<std::int64_t> limit;
  std::optional<int> workers;

  // `waits`: also what only a command that waits for the job's end has.
  void Declare(CLI::App& app, bool waits);
};

struct StreamName {
  std::string source, stream;
};
// "lichess/games", or "lichess" when it has one stream only. Errors: kConfig with the nearest name.
Result<StreamName> ParseStreamName(const std::string& text);

// Errors: kConfig.
Result<SyncOptions> ParseSyncFlags(const SyncFlags& flags);

}  // namespace weir::cli
