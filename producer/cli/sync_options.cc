#include "producer/cli/sync_options.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>

#include "common/base/json_text.h"
#include "common/base/time_text.h"
#include "common/config/nearest.h"
#include "common/config/text_file.h"
#include "common/config/value_text.h"
#include "common/sources/source.h"

namespace weir::cli {
namespace {

constexpr std::size_t kMaxAccounts = 100'000;
constexpr std::size_t kMaxNameBytes = 200;
// As sync.deadline; what a timestamp of PostgreSQL can hold, by far.
constexpr std::chrono::hours kLongestDeadline{365 * 24};
// All those names, with room for comments.
constexpr std::size_t kMaxFileBytes = 32 << 20;

// Collects names, each once under the source's own idea of sameness.
class AccountList {
 public:
  explicit AccountList(const Source& source) : source_(source) {}

  // Names separated by commas; empty ones are skipped.
  Result<void> Add(std::string_view text) {
    for (;;) {
      const auto comma = text.find(',');
      if (auto done = AddOne(TrimSpace(text.substr(0, comma))); !done) return done;
      if (comma == std::string_view::npos) return {};
      text.remove_prefix(comma + 1);
    }
  }

  // A name a line (or several with commas); # begins a comment.
  Result<void> AddFile(const std::string& path) {
    const auto text = ReadTextFile(
        {path, "the accounts file", kMaxFileBytes, "it holds an account a line; - reads standard input"});
    if (!text) return tl::unexpected(text.error());
    std::string_view rest = *text;
    for (int number = 1; !rest.empty(); ++number) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      if (auto done = Add(line.substr(0, line.find('#'))); !done) {
        Error error = done.error();
        error.message = fmt::format("{}:{}: {}", path, number, error.message);
        return tl::unexpected(error);
      }
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    }
    return {};
  }

  std::vector<std::string> Take() { return std::move(names_); }

 private:
  Result<void> AddOne(std::string_view name) {
    if (name.empty()) return {};
    if (name.size() > kMaxNameBytes)
      return Fail(ErrorClass::kConfig, fmt::format("\"{}…\" is no account's name", Printable(name, 40)));
    auto key = source_.AccountKey(name);
    if (!key) return tl::unexpected(key.error());
    if (!keys_.insert(*key).second) return {};
    if (names_.size() == kMaxAccounts)
      return Fail(ErrorClass::kConfig, fmt::format("more than {} accounts in one sync", kMaxAccounts));
    names_.emplace_back(name);
    return {};
  }

  const Source& source_;
  std::set<std::string> keys_;
  std::vector<std::string> names_;
};

Result<std::optional<std::int64_t>> Time(const std::string& option, const std::string& text) {
  if (text.empty()) return std::optional<std::int64_t>();
  const auto time = ParseTime(text);
  if (!time) {
    return Fail(ErrorClass::kConfig, fmt::format("{}: \"{}\" is not a time", option, Printable(text, 60)),
                "write 2026-11-22 or 2026-11-22T20:47:39Z");
  }
  return time;
}

Result<void> ParseBounds(const SyncFlags& flags, SyncOptions& options) {
  auto since = Time(flags.dashes + "since", flags.since);
  if (!since) return tl::unexpected(since.error());
  auto until = Time(flags.dashes + "until", flags.until);
  if (!until) return tl::unexpected(until.error());
  if (*since && *until && **since >= **until)
    return Fail(ErrorClass::kConfig, fmt::format("{0}since is not before {0}until", flags.dashes),
                "nothing lies between them");
  options.filter.since_ms = *since;
  options.filter.until_ms = *until;
  options.filter.limit = flags.limit;
  if (flags.deadline.empty()) return {};
  options.deadline = ParseDuration(flags.deadline);
  if (options.deadline && options.deadline->count() > 0) {
    if (*options.deadline <= kLongestDeadline) return {};
    return Fail(
        ErrorClass::kConfig,
        fmt::format("{}deadline: \"{}\" is longer than 365d", flags.dashes, Printable(flags.deadline, 60)),
        "leave it out for a job without a deadline");
  }
  return Fail(
      ErrorClass::kConfig,
      fmt::format("{}deadline: \"{}\" is not a duration", flags.dashes, Printable(flags.deadline, 60)),
      "write 90s, 10m, 2h or 1d");
}

}  // namespace

void SyncFlags::Declare(CLI::App& app, bool waits) {
  app.add_option("stream", target, "What to sync, e.g. lichess/games")
      ->required()
      ->type_name("SOURCE/STREAM");
  app.add_option("-a,--account", accounts, "Whose data; repeat it or separate with commas")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app.add_option("--accounts-file", account_files, "A file with an account a line; - = standard input")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--mode", mode,
                 "Default: full with --limit, or until a sync without bounds has read all; then incremental")
      ->check(CLI::IsMember({"full", "incremental"}));
  app.add_option("--limit", limit, "Stop after this many new records an account, newest first")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000'000}))
      ->type_name("N");
  app.add_option("--since", since, "Only what is not older (a date or RFC 3339 time)")->type_name("TIME");
  app.add_option("--until", until, "Only what is older (a date or RFC 3339 time)")->type_name("TIME");
  app.add_option("--priority", priority, "interactive is served first, on the same lanes")
      ->check(CLI::IsMember({"bulk", "interactive"}))
      ->capture_default_str();
  app.add_option(
         "--deadline", deadline,
         "Give up what is unfinished after this long (default: sync.deadline or MAX_FUNCTION_RUNTIME)")
      ->type_name("DURATION");
  if (!waits) return;
  app.add_option("--workers", workers,
                 "Local workers for its duration (default: 2 on the embedded broker, else 0)")
      ->check(CLI::Range(0, 64))
      ->type_name("N");
  app.add_option("--on-interrupt", on_interrupt, "What Ctrl-C does to the job")
      ->check(CLI::IsMember({"leave", "cancel"}))
      ->capture_default_str();
}

Result<StreamName> ParseStreamName(const std::string& text) {
  const auto slash = text.find('/');
  const std::string name = text.substr(0, slash);
  const Source* source = FindSource(name);
  std::vector<std::string> streams, sources;
  for (const Source* s : AllSources()) {
    sources.push_back(s->Info().name);
    for (const StreamInfo& stream : s->Info().streams) streams.push_back(s->Info().name + "/" + stream.name);
  }
  if (source == nullptr) {
    return Fail(ErrorClass::kConfig, fmt::format("unknown source \"{}\"", Printable(name, 60)),
                DidYouMean(name, sources, "`weir sources list` shows them"));
  }
  if (slash != std::string::npos && FindStream(*source, text.substr(slash + 1)) != nullptr)
    return StreamName{name, text.substr(slash + 1)};
  if (slash == std::string::npos && source->Info().streams.size() == 1)
    return StreamName{name, source->Info().streams.front().name};
  return Fail(ErrorClass::kConfig, fmt::format("{} has no stream \"{}\"", name, Printable(text, 60)),
              DidYouMean(text, streams, "`weir sources list` shows them"));
}

Result<SyncOptions> ParseSyncFlags(const SyncFlags& flags) {
  auto name = ParseStreamName(flags.target);
  if (!name) return tl::unexpected(name.error());
  SyncOptions options;
  options.source = name->source;
  options.stream = name->stream;
  AccountList accounts(*FindSource(options.source));
  for (const std::string& text : flags.accounts) {
    if (auto done = accounts.Add(text); !done) return tl::unexpected(done.error());
  }
  for (const std::string& path : flags.account_files) {
    if (auto done = accounts.AddFile(path); !done) return tl::unexpected(done.error());
  }
  options.accounts = accounts.Take();
  if (options.accounts.empty()) {
    return Fail(ErrorClass::kConfig, "no account is named",
                fmt::format("weir sync {} --account NAME, or --accounts-file FILE", flags.target));
  }
  if (!flags.mode.empty()) options.mode = ParseJobMode(flags.mode);
  if (auto done = ParseBounds(flags, options); !done) return tl::unexpected(done.error());
  options.workers = flags.workers;
  options.priority = flags.priority;
  if (flags.on_interrupt == "cancel") options.on_interrupt = SyncOptions::OnInterrupt::kCancel;
  return options;
}

}  // namespace weir::cli
