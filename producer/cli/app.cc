#include "producer/cli/app.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <list>
#include <map>

#include "common/base/json_text.h"
#include "common/config/account_settings.h"
#include "common/config/nearest.h"
#include "common/config/unknown_variables.h"
#include "common/config/version.h"
#include "producer/cli/exit_code.h"

namespace weir::cli {
namespace {

// The options that every command takes, before or after its name.
struct GlobalFlags {
  std::string config, log_level, output = "table";
  std::vector<std::string> sets;

  void Declare(CLI::App& app) {
    app.add_option("--config", config, "The configuration file (default: ./weir.yaml, then the user's)")
        ->type_name("FILE");
    app.add_option("--set", sets, "Set one setting; repeat for more")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    app.add_option("--log-level", log_level, "Least severe line that is logged")
        ->check(CLI::IsMember({"debug", "info", "warn", "error", "off"}));
    app.add_option("-o,--output", output, "How data is printed")
        ->check(CLI::IsMember({"table", "json"}))
        ->capture_default_str();
  }
};

// A command with what CLI11 writes into. In a list, so that nothing moves.
struct Leaf {
  CommandEntry entry;
  std::unique_ptr<Command> command;
  GlobalFlags flags;
  CLI::App* app = nullptr;
};

struct GroupText {
  const char* name;
  const char* summary;
  const char* example;
};
constexpr GroupText kGroups[] = {
    {"jobs", "Jobs, past and present", "weir jobs list"},
    {"failures", "Tasks that were given up", "weir failures list --job 12"},
    {"garbage", "Messages that could not be read", "weir garbage list"},
    {"sweep", "Rows that the upstream has no longer",
     "weir sweep plan highlevel/opportunities --account LOC"},
    {"sources", "The upstream APIs weir knows", "weir sources list"},
    {"migrate", "The schema of the database", "weir migrate status"},
    {"config", "What is configured, and why", "weir config show --origin"},
    {"completion", "Completion scripts for shells", "weir completion bash"},
};

// The whole command line as a CLI11 tree.
class CommandLine {
 public:
  explicit CommandLine(std::vector<CommandEntry> entries)
      : root_("weir brings paginated HTTP APIs into PostgreSQL.", "weir") {
    root_.set_version_flag("--version", "weir " + std::string(Version()));
    root_.require_subcommand(1);
    root_.footer(
        "Example:\n  weir sync lichess/games --account DrNykterstein\n\n"
        "`weir COMMAND --help` shows a command's options and an example.");
    root_flags_.Declare(root_);
    for (CommandEntry& entry : entries) Add(std::move(entry));
  }

  CLI::App& root() { return root_; }

  Leaf* Chosen() {
    for (Leaf& leaf : leaves_) {
      if (leaf.app->parsed()) return &leaf;
    }
    return nullptr;
  }

  // The innermost command that was named, for errors about its options.
  const CLI::App* Innermost() const {
    const CLI::App* app = &root_;
    for (auto named = app->get_subcommands(); !named.empty(); named = app->get_subcommands())
      app = named.front();
    return app;
  }

  // What was given after the command over what was given before it.
  GlobalFlags Merge(const Leaf& leaf) const {
    GlobalFlags merged = leaf.flags;
    if (merged.config.empty()) merged.config = root_flags_.config;
    if (merged.log_level.empty()) merged.log_level = root_flags_.log_level;
    if (leaf.app->get_option("--output")->count() == 0) merged.output = root_flags_.output;
    merged.sets = root_flags_.sets;
    merged.sets.insert(merged.sets.end(), leaf.flags.sets.begin(), leaf.flags.sets.end());
    return merged;
  }

 private:
  void Add(CommandEntry entry) {
    leaves_.push_back({std::move(entry), nullptr, {}, nullptr});
    Leaf& leaf = leaves_.back();
    CLI::App* parent = &root_;
    std::string name = leaf.entry.path;
    if (const auto space = name.find(' '); space != std::string::npos) {
      parent = Group(name.substr(0, space));
      name = name.substr(space + 1);
    }
    leaf.command = leaf.entry.make();
    leaf.app = parent->add_subcommand(name, leaf.entry.summary);
    leaf.app->footer("Example:\n  " + leaf.entry.example);
    if (leaf.entry.hidden) leaf.app->group("");
    leaf.command->Declare(*leaf.app);
    leaf.flags.Declare(*leaf.app);
  }

  CLI::App* Group(const std::string& name) {
    if (const auto known = groups_.find(name); known != groups_.end()) return known->second;
    const auto* text =
        std::find_if(std::begin(kGroups), std::end(kGroups), [&](const auto& g) { return g.name == name; });
    const bool described = text != std::end(kGroups);
    CLI::App* group = root_.add_subcommand(name, described ? text->summary : "");
    if (described) group->footer(std::string("Example:\n  ") + text->example);
    group->require_subcommand(1);
    groups_.emplace(name, group);
    return group;
  }

  CLI::App root_;
  GlobalFlags root_flags_;
  std::map<std::string, CLI::App*> groups_;
  std::list<Leaf> leaves_;
};

std::string FullName(const CLI::App* app) {
  std::string name = app->get_name();
  for (const CLI::App* up = app->get_parent(); up != nullptr; up = up->get_parent())
    name = up->get_name() + " " + name;
  return name;
}

// Its commands and, with those of its option groups, its options.
struct Names {
  std::vector<std::string> commands, options;

  explicit Names(const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
    }
    for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
      if (child->get_name().empty()) {  // an option group
        const Names more(*child);
        options.insert(options.end(), more.options.begin(), more.options.end());
      } else if (!child->get_group().empty()) {
        commands.push_back(child->get_name());
      }
    }
  }
};

// What CLI11 objects to, in our words where it can be said better.
int ReportParseError(const CLI::ParseError& e, const CommandLine& line, const Io& io) {
  const CLI::App* app = line.Innermost();
  const auto [children, options] = Names(*app);
  std::string message = e.what(), hint;
  // What is left over: the first word that is no option, where a command should stand; the first option.
  std::string word, option;
  for (const std::string& left : app->remaining()) {
    std::string& first = left.starts_with('-') ? option : word;
    if (first.empty()) first = left.substr(0, left.find('='));
  }
  if (!option.empty()) {
    message = fmt::format("unknown option \"{}\"", Printable(option, 60));
    hint = DidYouMean(option, options);
  } else if (children.empty() && !word.empty()) {
    message = fmt::format("\"{}\" is one argument too many", Printable(word, 60));
  } else if (!children.empty() && !word.empty()) {
    message = fmt::format("unknown command \"{}\"", Printable(word, 60));
    hint = DidYouMean(word, children);
  } else if (!children.empty()) {
    message = app->remaining().empty() ? "a command is missing" : e.what();
    for (const std::string& child : children) hint += (hint.empty() ? "one of: " : ", ") + child;
  }
  PrintError(io, MakeError(ErrorClass::kConfig, message, hint), FullName(app) + " --help");
  return kUsage;
}

std::string TryFor(const Error& error, const CLI::App* command) {
  switch (error.error_class) {
    case ErrorClass::kConfig:
      return FullName(command) + " --help";
    case ErrorClass::kDatabase:
    case ErrorClass::kSchema:
    case ErrorClass::kBroker:
      return "weir doctor";
    default:
      return {};
  }
}

int RunChosen(CommandLine& line, Leaf& leaf, CliEnvironment& environment) {
  const GlobalFlags flags = line.Merge(leaf);
  CommandContext context;
  context.io = environment.io;
  context.output = flags.output == "json" ? OutputFormat::kJson : OutputFormat::kTable;
  context.inputs = environment.inputs;
  if (!flags.config.empty()) context.inputs.file = flags.config;
  context.inputs.sets = flags.sets;
  if (!flags.log_level.empty()) context.inputs.sets.push_back("log.level=" + flags.log_level);
  context.services = environment.services;
  context.stop = environment.stop;
  context.clock = environment.clock;
  context.actions = &environment.actions;
  context.root = &line.root();
  auto code = leaf.command->Run(context);
  if (code) return *code;
  const bool stopped = code.error().error_class == ErrorClass::kStopped && environment.stop->Received() != 0;
  if (stopped) return environment.stop->ExitCode();
  PrintError(context.io, code.error(), TryFor(code.error(), leaf.app));
  return ExitCodeOf(code.error().error_class);
}

// The exit code of a command that printed all it had to. One that ended well but whose data nobody can read
// has failed; a reader that went away, as `head` does, knows that.
int FinishOutput(const Io& io, int code) {
  io.out->flush();
  if (*io.out) return code;
  const int error = io.out_error();
  if (error != EPIPE) {
    const std::string why = error == 0 ? std::string() : std::string(": ") + std::strerror(error);
    PrintError(io, MakeError(ErrorClass::kInternal, "cannot write to standard output" + why));
  }
  return code == kOk ? static_cast<int>(kFailed) : code;
}

int ParseAndRun(const std::vector<std::string>& args, CliEnvironment& environment) {
  std::vector<CommandEntry> entries = Commands(environment.actions);
  for (const CommandEntry& entry : environment.more_commands) entries.push_back(entry);
  CommandLine line(std::move(entries));
  try {
    line.root().parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp&) {
    *environment.io.out << line.root().help();
    return kOk;
  } catch (const CLI::CallForVersion& e) {
    *environment.io.out << e.what() << '\n';
    return kOk;
  } catch (const CLI::ParseError& e) {
    return ReportParseError(e, line, environment.io);
  }
  return RunChosen(line, *line.Chosen(), environment);
}

}  // namespace

int RunCli(const std::vector<std::string>& args, CliEnvironment& environment) {
  return FinishOutput(environment.io, ParseAndRun(args, environment));
}

int RunCli(int argc, char** argv, Actions actions, std::vector<CommandEntry> more_commands,
           LeaseDatabase lease) {
  const auto services = MakeServices(std::move(lease));
  const SystemClock clock;
  std::error_code ec;
  CliEnvironment environment;
  environment.io = ProcessIo();
  environment.inputs.env = CurrentEnvironment();
  environment.inputs.working_directory = std::filesystem::current_path(ec).string();
  environment.inputs.is_root = geteuid() == 0;
  environment.services = services.get();
  environment.stop = &ProcessStopSignal();
  environment.clock = &clock;
  environment.actions = std::move(actions);
  environment.more_commands = std::move(more_commands);
  return RunCli(std::vector<std::string>(argv + 1, argv + argc), environment);
}

Result<Config> CommandContext::Load() const {
  auto config = LoadConfig(inputs);
  if (!config) return config;
  for (const std::string& line : UnknownVariables(inputs, *config)) PrintWarning(io, line);
  for (const std::string& line : LanesOverQuota(*config, AllSources())) PrintWarning(io, line);
  return config;
}

}  // namespace weir::cli
