#include "producer/cli/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "producer/cli/exit_code.h"
#include "producer/cli/fake_services.h"

namespace weir::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

TEST(Cli, HelpOfEveryCommandHasAnExampleOfItself) {
  CliHarness cli;
  const auto commands = Commands(cli.environment.actions);
  EXPECT_GE(commands.size(), 25u);
  for (const CommandEntry& entry : commands) {
    auto args = Words(entry.path);
    args.push_back("--help");
    EXPECT_EQ(cli.Run(args), kOk) << entry.path;
    EXPECT_THAT(cli.out, HasSubstr("Example:\n  weir " + entry.path)) << entry.path;
    EXPECT_THAT(cli.out, HasSubstr("--output")) << entry.path;
    EXPECT_THAT(cli.out, HasSubstr(entry.summary)) << entry.path;
    EXPECT_THAT(cli.err, IsEmpty());
  }
  for (const char* group : {"", "jobs", "failures", "sources", "migrate", "config", "completion"}) {
    auto args = Words(group);
    args.push_back("--help");
    EXPECT_EQ(cli.Run(args), kOk);
    EXPECT_THAT(cli.out, HasSubstr("Example:\n  weir ")) << group;
  }
}

// What the help shows must be accepted: each example's options are parsed by the command itself.
TEST(Cli, TheExamplesAreValid) {
  CliHarness cli;
  cli.ledger.frames = {{MakeJob(12, "succeeded", {MakeAccount("a", "succeeded")})}};
  cli.ledger.failures.emplace_back();
  for (const CommandEntry& entry : Commands(cli.environment.actions)) {
    std::istringstream lines(entry.example);
    for (std::string line; std::getline(lines, line);) {
      auto args = Words(line.substr(0, line.find('>')));
      ASSERT_EQ(args.front(), "weir");
      if (args[1] == "init" || line.find("players.txt") != std::string::npos) continue;  // these touch files
      args.erase(args.begin());
      EXPECT_EQ(cli.Run(args), kOk) << line << "\n" << cli.err;
    }
  }
}

TEST(Cli, UsageErrorsAreExitCode2AndSayWhatToTry) {
  struct Case {
    const char* args;
    const char* message;
    const char* hint;
    const char* attempt;
  };
  const Case cases[] = {
      {"", "a command is missing", "one of: ", "weir --help"},
      {"snyc", "unknown command \"snyc\"", "did you mean sync?", "weir --help"},
      {"jobs", "a command is missing", "list", "weir jobs --help"},
      {"jobs lits", "unknown command \"lits\"", "did you mean list?", "weir jobs --help"},
      {"sync lichess/games --bogus", "--bogus", "", "weir sync --help"},
      {"sync lichess/games", "no account is named", "--account NAME", ""},
      {"sync liches/games -a bob", "unknown source \"liches\"", "did you mean lichess?", ""},
      {"sync lichess/game -a bob", "has no stream", "did you mean lichess/games?", ""},
      {"sync lichess/games -a bob --limit 0", "--limit", "", "weir sync --help"},
      {"sync lichess/games -a bob --mode half", "--mode", "", "weir sync --help"},
      {"sync lichess/games -a bob --since yesterday", "--since: \"yesterday\" is not a time", "2026-11-22",
       ""},
      {"sync lichess/games -a bob --since 2026-02-01 --until 2026-01-01", "--since is not before --until", "",
       ""},
      {"sync lichess/games -a bob --deadline soon", "--deadline: \"soon\" is not a duration", "90s", ""},
      {"sync lichess/games -a bob --deadline 0s", "is not a duration", "", ""},
      {"sync lichess/games --accounts-file /nonexistent/f", "/nonexistent/f cannot be read", "", ""},
      {"status twelve", "\"twelve\" is not the number of a job", "weir jobs list", ""},
      {"status 12 --output xml", "--output", "", "weir status --help"},
      {"replay 12", "", "", "weir replay --help"},
      {"replay 12 --all --class auth", "", "", "weir replay --help"},
      {"replay 12 --class wrong", "there is no class \"wrong\"", "", ""},
      {"migrate down", "drops tables", "--yes", ""},
      {"config show --set batch.recrods=1", "unknown key \"batch.recrods\"", "batch.records", ""},
      {"config show --config /nonexistent/weir.yaml", "cannot be read", "weir init", ""},
  };
  CliHarness cli;
  for (const Case& c : cases) {
    EXPECT_EQ(cli.Run(Words(c.args)), kUsage) << c.args;
    EXPECT_THAT(cli.err, HasSubstr("error: ")) << c.args;
    EXPECT_THAT(cli.err, HasSubstr(c.message)) << c.args;
    EXPECT_THAT(cli.err, HasSubstr(c.hint)) << c.args;
    const std::string attempt = *c.attempt == '\0' ? "" : std::string("try: ") + c.attempt;
    EXPECT_THAT(cli.err, HasSubstr(attempt)) << c.args;
    EXPECT_THAT(cli.out, IsEmpty()) << c.args;
  }
}

TEST(Cli, SyncOptionsReachTheAction) {
  CliHarness cli;
  const std::string path = testing::TempDir() + "weir_accounts.txt";
  std::ofstream(path) << "# players\nEve, Frank  # two\n\nANNA\r\n";
  ASSERT_EQ(cli.Run({"sync",
                     "--account",
                     "Anna",
                     "lichess/games",
                     "-a",
                     "bob,anna,,Carl",
                     "--accounts-file",
                     path,
                     "--mode",
                     "full",
                     "--limit",
                     "7",
                     "--since",
                     "2026-01-01",
                     "--until",
                     "2026-01-02T00:00:00Z",
                     "--workers",
                     "3",
                     "--deadline",
                     "2h",
                     "--priority",
                     "interactive",
                     "--on-interrupt",
                     "cancel"}),
            kOk)
      << cli.err;
  std::filesystem::remove(path);
  ASSERT_TRUE(cli.sync);
  EXPECT_EQ(cli.sync->source, "lichess");
  EXPECT_EQ(cli.sync->stream, "games");
  EXPECT_THAT(cli.sync->accounts, ElementsAre("Anna", "bob", "Carl", "Eve", "Frank"));
  EXPECT_EQ(cli.sync->mode, JobMode::kFull);
  EXPECT_EQ(cli.sync->filter, (Filter{1767225600000, 1767312000000, 7}));
  EXPECT_EQ(cli.sync->workers, 3);
  EXPECT_EQ(cli.sync->deadline, std::chrono::milliseconds(7'200'000));
  EXPECT_EQ(cli.sync->priority, "interactive");
  EXPECT_EQ(cli.sync->on_interrupt, SyncOptions::OnInterrupt::kCancel);
  // What was not said stays open.
  ASSERT_EQ(cli.Run({"enqueue", "chesscom", "-a", "hikaru"}), kOk);
  EXPECT_EQ(cli.sync->stream, "games");
  EXPECT_EQ(cli.sync->mode, std::nullopt);
  EXPECT_EQ(cli.sync->workers, std::nullopt);
  EXPECT_EQ(cli.sync->filter, Filter{});
  EXPECT_EQ(cli.sync->priority, "bulk");
}

TEST(Cli, GlobalOptionsStandBeforeOrAfterTheCommand) {
  CliHarness cli;
  ASSERT_EQ(cli.Run({"--set", "batch.records=5", "--output", "json", "config", "show", "--set",
                     "worker.sessions=6", "--log-level", "warn"}),
            kOk)
      << cli.err;
  const json shown = json::parse(cli.out);
  EXPECT_EQ(shown["batch.records"], "5");
  EXPECT_EQ(shown["worker.sessions"], "6");
  EXPECT_EQ(shown["log.level"], "warn");
  ASSERT_EQ(
      cli.Run({"--output", "json", "config", "show", "-o", "table", "--set", "batch.records=5", "--origin"}),
      kOk);
  EXPECT_THAT(cli.out, HasSubstr("--set batch.records"));
  ASSERT_EQ(cli.Run({"config", "show", "--changed", "-o", "json", "--origin", "--set", "batch.records=5"}),
            kOk);
  EXPECT_EQ(json::parse(cli.out),
            json::parse(R"({"batch.records":{"value":"5","origin":"flag","where":"--set batch.records"}})"));
}

TEST(Cli, ErrorsBecomeExitCodes) {
  CliHarness cli;
  const std::pair<ErrorClass, int> cases[] = {
      {ErrorClass::kConfig, 2},   {ErrorClass::kAuth, 4},     {ErrorClass::kNotFound, 5},
      {ErrorClass::kConflict, 5}, {ErrorClass::kDatabase, 1}, {ErrorClass::kInternal, 1},
      {ErrorClass::kBroker, 1},
  };
  for (const auto& [error_class, code] : cases) {
    cli.ledger.error = MakeError(error_class, "what", "how");
    EXPECT_EQ(cli.Run({"jobs", "list"}), code);
    EXPECT_THAT(cli.err, HasSubstr("error: what\nhint: how\n"));
  }
}

TEST(Cli, AJobsEndBecomesAnExitCode) {
  auto failed = [](const char* error_class) {
    auto account = MakeAccount("x", "failed");
    account.error_class = error_class;
    return account;
  };
  const auto good = MakeAccount("a", "succeeded", 5);
  auto rejected = good;
  rejected.counters.rejected = 1;
  auto dead = MakeAccount("d", "partial");
  dead.counters.dead_pages = 2;
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "succeeded", {good})), kOk);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "succeeded", {rejected})), kOk);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "partial", {dead})), kNotWhole);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "partial", {good, failed("auth")})), kNotWhole);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "failed", {failed("auth"), failed("auth")})), kAuth);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "failed", {failed("gone")})), kNotFound);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "failed", {failed("auth"), failed("gone")})), kFailed);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "cancelled", {MakeAccount("a", "cancelled")})), kNotWhole);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "expired", {MakeAccount("a", "expired")})), kPending);
  EXPECT_EQ(ExitCodeOf(MakeJob(1, "running", {MakeAccount("a", "running")})), kPending);
}

TEST(Cli, StatusWatchesUntilTheEnd) {
  CliHarness cli;
  auto dead = MakeAccount("a", "partial", 100);
  dead.counters.dead_pages = 1;
  cli.ledger.frames = {{MakeJob(12, "queued", {MakeAccount("a", "queued")})},
                       {MakeJob(12, "running", {MakeAccount("a", "running", 50)})},
                       {MakeJob(12, "partial", {dead})}};
  EXPECT_EQ(cli.Run({"status", "12", "--watch", "--output", "json"}), kNotWhole);
  EXPECT_EQ(json::parse(cli.out)["state"], "partial");
  EXPECT_THAT(cli.err, HasSubstr("running"));
  EXPECT_THAT(cli.err, HasSubstr("weir failures list --job 12"));
  // Without --watch it is a question, and the answer is 0.
  EXPECT_EQ(cli.Run({"status", "12"}), kOk);
  EXPECT_EQ(cli.Run({"status", "13"}), kNotFound);
}

TEST(Cli, AWatchIsEndedByASignal) {
  for (const auto& [signal, code] : {std::pair{2, 130}, std::pair{15, 143}}) {
    CliHarness cli;
    cli.ledger.frames = {{MakeJob(12, "running", {MakeAccount("a", "running", 50)})}};
    cli.stop.stop_at = 3;
    cli.stop.stop_with = signal;
    EXPECT_EQ(cli.Run({"status", "12", "--watch"}), code);
  }
}

TEST(Cli, ReplayPassesWhatIsToBeReplayed) {
  CliHarness cli;
  EXPECT_EQ(cli.Run({"replay", "12", "--class", "auth", "--dry-run", "-o", "json"}), kOk) << cli.err;
  EXPECT_EQ(cli.ledger.asked->job, JobId{12});
  EXPECT_EQ(cli.ledger.asked->error_class, "auth");
  EXPECT_EQ(cli.ledger.asked->task, std::nullopt);
  EXPECT_TRUE(cli.ledger.dry_run);
  EXPECT_EQ(json::parse(cli.out),
            json::parse(R"({"job":12,"dry_run":true,"tasks":5,"classes":{"auth":2,"invalid":3}})"));
  EXPECT_EQ(cli.Run({"replay", "12", "--page", "7"}), kOk);
  EXPECT_EQ(cli.ledger.asked->task, TaskId{7});
  EXPECT_FALSE(cli.ledger.dry_run);
}

TEST(Cli, InitNeverOverwrites) {
  CliHarness cli;
  std::string folder = testing::TempDir() + "weir_init_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  cli.environment.inputs.working_directory = folder;
  EXPECT_EQ(cli.Run({"init"}), kOk) << cli.err;
  EXPECT_EQ(cli.Run({"config", "show"}), kOk) << cli.err;  // what it wrote is valid
  std::ofstream(folder + "/weir.yaml") << "batch: {records: 3}\n";
  EXPECT_EQ(cli.Run({"init"}), kNotFound);
  EXPECT_THAT(cli.err, HasSubstr("was left alone"));
  EXPECT_EQ(cli.Run({"config", "show", "--changed"}), kOk);
  EXPECT_THAT(cli.out, HasSubstr("batch.records"));
  std::filesystem::remove_all(folder);
}

TEST(Cli, DoctorFailsWhenSomethingDoes) {
  CliHarness cli;
  EXPECT_EQ(cli.Run({"doctor", "-o", "json"}), kOk);
  EXPECT_EQ(json::parse(cli.out).size(), 5u);
  EXPECT_EQ(cli.Run({"doctor", "--online", "-o", "json"}), kOk);
  EXPECT_EQ(json::parse(cli.out).back()["check"], "source lichess");
  cli.services.database = {"database", "fail", "gone", "start it"};
  EXPECT_EQ(cli.Run({"doctor"}), kFailed);
  EXPECT_THAT(cli.out, HasSubstr("hint: start it"));
  EXPECT_EQ(cli.Run({"doctor", "--set", "nope=1"}), kFailed);
  EXPECT_THAT(cli.out, HasSubstr("unknown key"));
}

TEST(Cli, MigrateStatusTellsWhatIsPending) {
  CliHarness cli;
  cli.ledger.migrations = {{1, "ledger", "2026-11-22T20:00:00Z", pg::MigrationState::kApplied},
                           {2, "lichess", "", pg::MigrationState::kPending}};
  EXPECT_EQ(cli.Run({"migrate", "status"}), kOk);
  EXPECT_THAT(cli.err, HasSubstr("weir migrate up"));
  EXPECT_EQ(cli.Run({"migrate", "status", "-o", "json"}), kOk);
  EXPECT_EQ(json::parse(cli.out)[1]["state"], "pending");
  EXPECT_EQ(cli.Run({"migrate", "down", "--steps", "2", "--yes"}), kOk);
  EXPECT_EQ(cli.ledger.down_steps, 2);
}

TEST(Cli, CommandsWithoutAModuleAreNotOffered) {
  CliHarness cli;
  cli.environment.actions = {};
  EXPECT_EQ(cli.Run({"sync", "lichess/games", "-a", "bob"}), kUsage);
  EXPECT_EQ(cli.Run({"--help"}), kOk);
  EXPECT_THAT(cli.out, Not(HasSubstr("enqueue")));
}

}  // namespace
}  // namespace weir::cli
