#include "producer/cli/app.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "producer/cli/exit_code.h"
#include "producer/cli/fake_services.h"
#include "producer/cli/standard_output.h"

namespace weir::cli {
namespace {

using nlohmann::json;
using testing::AllOf;
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

// The examples again, with --output json: every command prints one JSON document. Left out: what the modules
// behind the actions print, which tests/e2e looks at, and the scripts of `completion`, which are for shells.
TEST(Cli, EveryCommandsJsonParses) {
  CliHarness cli;
  cli.ledger.frames = {{MakeJob(12, "succeeded", {MakeAccount("a", "succeeded")})}};
  cli.ledger.failures.emplace_back();
  cli.ledger.migrations = {{1, "ledger", "2026-11-22T20:00:00Z", pg::MigrationState::kApplied}};
  const std::string file = testing::TempDir() + "weir_init_json.yaml";
  std::filesystem::remove(file);
  const Actions none;
  int commands = 0;
  for (const CommandEntry& entry : Commands(none)) {
    if (entry.path.starts_with("completion")) continue;
    const std::string example = entry.example.substr(0, entry.example.find_first_of(">\n"));
    auto args = Words(example);
    args.erase(args.begin());
    if (entry.path == "init") args.push_back(file);
    args.insert(args.end(), {"--output", "json"});
    EXPECT_EQ(cli.Run(args), kOk) << example << cli.err;
    EXPECT_TRUE(json::accept(cli.out)) << example << cli.out;
    if (entry.path == "init") {
      EXPECT_EQ(json::parse(cli.out), json({{"file", file}}));
    }
    ++commands;
  }
  EXPECT_GE(commands, 20);
  EXPECT_TRUE(std::filesystem::remove(file));
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
      {"sync lichess/games --bogus", "unknown option \"--bogus\"", "", "weir sync --help"},
      {"sync lichess/games -a bob --limti 5", "unknown option \"--limti\"", "did you mean --limit?", ""},
      {"sync lichess/games -a bob --limti=5", "unknown option \"--limti\"", "did you mean --limit?", ""},
      {"jobs --outptu json", "unknown option \"--outptu\"", "", "weir jobs --help"},
      {"status 12 13", "\"13\" is one argument too many", "", "weir status --help"},
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
      {"sync lichess/games --accounts-file /tmp", "the accounts file /tmp is a folder", "", ""},
      {"sync lichess/games --accounts-file /dev/zero", "the accounts file /dev/zero is over 32 MiB", "", ""},
      {"status twelve", "\"twelve\" is not the number of a job", "weir jobs list", ""},
      {"status 12 --output xml", "--output", "", "weir status --help"},
      {"replay 12", "what is to be tried again was not said", "--all", "weir replay --help"},
      {"replay 12 --clas auth", "unknown option \"--clas\"", "did you mean --class?", ""},
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

// Takes nothing, as a file on a full disk.
class FullDisk final : public std::streambuf {
 protected:
  int_type overflow(int_type) override { return traits_type::eof(); }
};

TEST(Cli, OutputThatCannotBeWrittenIsAFailureOfEveryCommand) {
  CliHarness cli;
  cli.ledger.frames = {{MakeJob(12, "succeeded", {MakeAccount("a", "succeeded")})}};
  FullDisk disk;
  std::ostream full(&disk);
  cli.environment.io.out = &full;
  cli.environment.io.out_error = [] { return ENOSPC; };
  for (const char* args : {"config schema", "config show", "completion bash", "status 12",
                           "status 12 --output json", "jobs list", "doctor", "sources list",
                           "migrate status --output json", "--help", "status --help", "--version"}) {
    full.clear();
    EXPECT_EQ(cli.Run(Words(args)), kFailed) << args;
    EXPECT_THAT(cli.err, HasSubstr("error: cannot write to standard output: No space left on device\n"))
        << args;
  }
  full.clear();
  EXPECT_EQ(cli.Run(Words("status nothing")), kUsage) << "what says more stays";
}

TEST(Cli, AReaderThatWentAwayIsToldNothing) {
  CliHarness cli;
  FullDisk disk;
  std::ostream closed(&disk);
  cli.environment.io.out = &closed;
  cli.environment.io.out_error = [] { return EPIPE; };
  EXPECT_EQ(cli.Run({"config", "schema"}), kFailed);
  EXPECT_THAT(cli.err, IsEmpty());
}

TEST(StandardOutput, RemembersWhyItCouldNotBeWritten) {
  const int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  StandardOutput full(fd);
  full << std::string(100'000, 'x') << std::flush;
  EXPECT_FALSE(full);
  EXPECT_EQ(full.Error(), ENOSPC);
  close(fd);

  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  StandardOutput out(ends[1]);
  out << "a" << 1 << std::string(20'000, 'x');
  EXPECT_TRUE(out.flush());
  EXPECT_EQ(out.Error(), 0);
  std::string text(20'002, '\0');
  EXPECT_EQ(read(ends[0], text.data(), text.size()), 20'002);
  EXPECT_THAT(text, testing::StartsWith("a1xx"));
  close(ends[0]);
  close(ends[1]);
}

TEST(Cli, SyncOptionsReachTheAction) {
  CliHarness cli;
  const std::string path = testing::TempDir() + "weir_accounts.txt";
  std::ofstream(path) << "\xEF\xBB\xBF# players\nEve, Frank  # two\n\nANNA\r\n";
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

TEST(Cli, TheListOfJobsSaysHowItGoesOn) {
  CliHarness cli;
  cli.ledger.frames = {
      {MakeJob(30, "succeeded", {}), MakeJob(29, "succeeded", {}), MakeJob(28, "succeeded", {})}};
  EXPECT_EQ(cli.Run({"jobs", "list", "--limit", "2"}), kOk) << cli.err;
  EXPECT_THAT(cli.err, HasSubstr("older ones: weir jobs list --before 29\n"));
  EXPECT_EQ(cli.Run({"jobs", "list", "--limit", "2", "--before", "29"}), kOk) << cli.err;
  EXPECT_THAT(cli.out, HasSubstr("28"));
  EXPECT_EQ(cli.out.find("29"), std::string::npos);
  EXPECT_EQ(cli.err.find("older ones"), std::string::npos) << "these were the last";
  EXPECT_EQ(cli.Run({"jobs", "list", "--before", "28"}), kOk);
  EXPECT_THAT(cli.err, HasSubstr("There are no older jobs."));
  EXPECT_EQ(cli.Run({"jobs", "list", "--before", "x"}), 2);
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

TEST(Cli, JobsAreCancelledPausedAndResumed) {
  CliHarness cli;
  cli.ledger.frames = {{MakeJob(12, "paused", {MakeAccount("a", "paused", 50)})}};
  for (const char* command : {"cancel", "pause", "resume"}) {
    EXPECT_EQ(cli.Run({command, "12", "-o", "json"}), kOk) << cli.err;
    EXPECT_EQ(json::parse(cli.out)["job"], 12);
    EXPECT_EQ(cli.Run({command, "twelve"}), kUsage);
  }
  EXPECT_THAT(cli.ledger.changes, ElementsAre("cancel 12", "pause 12", "resume 12"));
  cli.ledger.error = MakeError(ErrorClass::kConflict, "it has ended");
  EXPECT_EQ(cli.Run({"pause", "12"}), kNotFound);
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
  EXPECT_TRUE(cli.ledger.replayed->dry_run);
  EXPECT_FALSE(cli.ledger.replayed->force);
  EXPECT_EQ(cli.ledger.replayed->max_replays, 5);
  EXPECT_EQ(json::parse(cli.out),
            json::parse(R"({"job":12,"dry_run":true,"tasks":5,"classes":{"auth":2,"invalid":3},
                            "guarded":0,"superseded":0})"));
  EXPECT_EQ(cli.Run({"replay", "12", "--page", "7", "--force", "--set", "replay.max=2"}), kOk);
  EXPECT_EQ(cli.ledger.asked->task, TaskId{7});
  EXPECT_FALSE(cli.ledger.replayed->dry_run);
  EXPECT_TRUE(cli.ledger.replayed->force);
  EXPECT_EQ(cli.ledger.replayed->max_replays, 2);
  // By source and time, over all jobs.
  EXPECT_EQ(cli.Run({"replay", "--source", "lichess", "--account", "bob", "--since", "2026-01-01", "--until",
                     "2026-01-02T00:00:00Z", "-o", "json"}),
            kOk)
      << cli.err;
  EXPECT_EQ(cli.ledger.asked->job, std::nullopt);
  EXPECT_EQ(cli.ledger.asked->source, "lichess");
  EXPECT_EQ(cli.ledger.asked->account, "bob");
  EXPECT_EQ(cli.ledger.asked->since_ms, 1767225600000);
  EXPECT_EQ(cli.ledger.asked->until_ms, 1767312000000);
  EXPECT_TRUE(json::parse(cli.out)["job"].is_null());
}

TEST(Cli, ReplayMustBeToldWhat) {
  CliHarness cli;
  EXPECT_EQ(cli.Run({"replay", "12"}), kUsage);
  EXPECT_EQ(cli.Run({"replay"}), kUsage);
  EXPECT_EQ(cli.Run({"replay", "12", "--all", "--class", "auth"}), kUsage);
  EXPECT_EQ(cli.Run({"replay", "12", "--class", "nonsense"}), kUsage);
  EXPECT_EQ(cli.Run({"replay", "12", "--since", "yesterday"}), kUsage);
  EXPECT_FALSE(cli.ledger.replayed);
  EXPECT_EQ(cli.Run({"replay", "--all"}), kOk) << cli.err;
}

TEST(Cli, ReplayTellsWhatItLeftDead) {
  CliHarness cli;
  cli.ledger.counts = {{"auth", 2, 3, 1}};
  EXPECT_EQ(cli.Run({"replay", "12", "--all"}), kOk);
  EXPECT_THAT(cli.err,
              AllOf(HasSubstr("3 tasks were replayed 5 times"), HasSubstr("--force"),
                    HasSubstr("1 tasks belong to jobs whose sync"), HasSubstr("2 tasks will be tried")));
}

TEST(Cli, FailuresAreGroupedByClass) {
  CliHarness cli;
  ledger::FailureGroup group;
  group.error_class = "auth";
  group.tasks = 1200;
  group.jobs = 2;
  group.accounts = 3;
  group.first_at = "2026-11-24T01:00:00.000Z";
  group.last_at = "2026-11-25T02:00:00.000Z";
  group.hint = "make a new token";
  group.last = TaskId{77};
  cli.ledger.groups = {group};
  ledger::Failure failure;
  failure.task = TaskId{77};
  failure.error_class = "auth";
  cli.ledger.failures = {failure};
  EXPECT_EQ(cli.Run({"failures", "list", "--job", "12", "--class", "auth"}), kOk) << cli.err;
  EXPECT_EQ(cli.ledger.asked->job, JobId{12});
  EXPECT_EQ(cli.ledger.asked->error_class, "auth");
  EXPECT_THAT(cli.out, AllOf(HasSubstr("1,200"), HasSubstr("2026-11-24T01:00:00.000Z"),
                             HasSubstr("2026-11-25T02:00:00.000Z"), HasSubstr("make a new token")));
  // As JSON the tasks alone, as ever; the classes when asked for.
  EXPECT_EQ(cli.Run({"failures", "list", "-o", "json"}), kOk);
  EXPECT_EQ(json::parse(cli.out).size(), 1u);
  EXPECT_EQ(json::parse(cli.out)[0]["task"], 77);
  EXPECT_EQ(cli.Run({"failures", "list", "--group", "-o", "json"}), kOk);
  EXPECT_EQ(json::parse(cli.out)[0]["tasks"], 1200);
  EXPECT_EQ(json::parse(cli.out)[0]["last_task"], 77);
  cli.ledger.groups.clear();
  cli.ledger.failures.clear();
  EXPECT_EQ(cli.Run({"failures", "list"}), kOk);
  EXPECT_EQ(cli.out, "");
  EXPECT_THAT(cli.err, HasSubstr("No task is dead"));
}

TEST(Cli, GarbageIsShownAndPurged) {
  CliHarness cli;
  cli.ledger.garbage = {
      {"weir.tasks", 3, 17, "no task", "2026-11-25T02:00:00.000Z", std::string("\x01\xffhi", 4)}};
  EXPECT_EQ(cli.Run({"garbage", "list", "-o", "json"}), kOk);
  EXPECT_EQ(json::parse(cli.out)[0]["body_start_hex"], "01ff6869");
  EXPECT_EQ(json::parse(cli.out)[0]["offset"], 17);
  EXPECT_EQ(cli.Run({"garbage", "list", "--set", "kafka.topic_prefix=mine."}), kOk);
  EXPECT_THAT(cli.out, HasSubstr("no task"));
  EXPECT_THAT(cli.err, HasSubstr("topic dlq.weir.tasks too"));  // the embedded broker knows no prefix
  EXPECT_EQ(
      cli.Run({"garbage", "list", "--set", "kafka.topic_prefix=mine.", "--set", "kafka.brokers=k:9092"}),
      kOk);
  EXPECT_THAT(cli.err, HasSubstr("topic mine.dlq.weir.tasks too"));
  EXPECT_EQ(cli.Run({"garbage", "purge"}), kUsage);
  EXPECT_EQ(cli.Run({"garbage", "purge", "--before", "soon"}), kUsage);
  EXPECT_EQ(cli.ledger.purges, 0);
  EXPECT_EQ(cli.Run({"garbage", "purge", "--before", "2026-01-01"}), kOk);
  EXPECT_EQ(cli.ledger.purged_before, 1767225600000);
  EXPECT_EQ(cli.Run({"garbage", "purge", "--all"}), kOk);
  EXPECT_EQ(cli.ledger.purged_before, std::nullopt);
  EXPECT_EQ(cli.ledger.purges, 2);
}

TEST(Cli, LanesTellWhoHoldsThemAndWhatTheyWaitFor) {
  CliHarness cli;
  ledger::LaneStatus busy, idle;
  busy.lane = LaneId{"lichess:anonymous", 0};
  busy.owner = "w1";
  busy.account = "bob";
  busy.delay_ms = 250;
  busy.successes = 999;
  busy.throttles = 1;
  busy.waiting_for = "throttled";
  busy.until = "2026-11-25T02:00:00.000Z";
  busy.waiting_ms = 61'000;
  idle.lane = LaneId{"lichess:anonymous", 1};
  cli.ledger.lanes = {busy, idle};
  EXPECT_EQ(cli.Run({"lanes", "--account", "bob", "-o", "json"}), kOk) << cli.err;
  EXPECT_EQ(cli.ledger.lanes_of, "bob");
  const json lanes = json::parse(cli.out);
  ASSERT_EQ(lanes.size(), 2u);
  EXPECT_EQ(lanes[0]["success_rate"], 0.999);
  EXPECT_EQ(lanes[0]["waiting_for"], "throttled");
  EXPECT_EQ(lanes[0]["until"], "2026-11-25T02:00:00.000Z");
  EXPECT_TRUE(lanes[1]["owner"].is_null());
  EXPECT_TRUE(lanes[1]["success_rate"].is_null());
  EXPECT_EQ(cli.Run({"lanes"}), kOk);
  EXPECT_THAT(cli.out, AllOf(HasSubstr("99.9 %"), HasSubstr("250 ms"), HasSubstr("throttled, 1m01s more")));
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

TEST(Cli, SweepPlansShowTheirThresholds) {
  CliHarness cli;
  cli.ledger.sweep_plan.id = 3;
  cli.ledger.sweep_plan.live = 400;
  cli.ledger.sweep_plan.to_mark = 200;
  cli.ledger.sweep_plan.sample = {{"g1", "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"}};
  EXPECT_EQ(
      cli.Run({"sweep", "plan", "lichess/games", "--account", "bob", "--job", "12", "-o", "json", "--set",
               "sweep.max_stale_rows=7", "--set", "sources.lichess.sweep_max_stale_percent=3"}),
      kOk)
      << cli.err;
  EXPECT_EQ(cli.ledger.sweep_asked->account, "bob");
  EXPECT_EQ(cli.ledger.sweep_asked->job->value, 12);
  const json plan = json::parse(cli.out);
  EXPECT_EQ(plan["thresholds"]["max_stale_rows"], 7);
  EXPECT_EQ(plan["thresholds"]["max_stale_percent"], 3);
  EXPECT_EQ(plan["percent"], 50.0);
  EXPECT_EQ(plan["sample"][0]["id"], "g1");
  EXPECT_EQ(cli.Run({"sweep", "plan", "lichess/games", "--account", "bob"}), kOk) << cli.err;
  EXPECT_THAT(cli.out, HasSubstr("200 of 400 rows"));
  EXPECT_THAT(cli.err, HasSubstr("weir sweep apply 3"));
  EXPECT_EQ(cli.Run({"sweep", "plan", "lichess/games"}), kUsage);
  EXPECT_EQ(cli.Run({"sweep", "apply", "3"}), kOk);
  EXPECT_EQ(cli.ledger.changes.back(), "apply 3");
  EXPECT_EQ(cli.Run({"sweep", "apply", "three"}), kUsage);
}

TEST(Cli, DriftIsListed) {
  CliHarness cli;
  EXPECT_EQ(cli.Run({"drift"}), kOk);
  EXPECT_THAT(cli.err, HasSubstr("as their tables expect"));
  cli.ledger.drift = {{"lichess", "games", "rated", "type", "boolean", "string", 5, "2026-01-01T00:00:00Z",
                       "2026-01-02T00:00:00Z"}};
  EXPECT_EQ(cli.Run({"drift", "lichess/games", "-o", "json"}), kOk) << cli.err;
  EXPECT_EQ(cli.ledger.drift_of, "lichess/games");
  const json drift = json::parse(cli.out);
  EXPECT_EQ(drift[0]["field"], "rated");
  EXPECT_EQ(drift[0]["count"], 5);
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
  EXPECT_EQ(cli.Run({"doctor", "--set", "nope=1"}), kUsage);
  EXPECT_THAT(cli.out, HasSubstr("unknown key"));
}

TEST(Cli, AVariableThatIsNoSettingIsSaid) {
  CliHarness cli;
  cli.environment.inputs.env["WEIR_DATABSE_URL"] = "postgresql://h/d";
  cli.environment.inputs.env["WEIR_TEST_DATABASE_URL"] = "postgresql://h/d";
  cli.environment.inputs.env["WEIR_WORKER_ID"] = "a";
  EXPECT_EQ(cli.Run({"doctor"}), kOk);
  EXPECT_EQ(cli.err,
            "warning: the environment variable WEIR_DATABSE_URL is no setting of weir: did you mean "
            "WEIR_DATABASE_URL?\n");
  // What the configuration itself refers to is a secret's place, whatever its name.
  cli.environment.inputs.env.erase("WEIR_DATABSE_URL");
  cli.environment.inputs.env["WEIR_OUR_DATABASE"] = "postgresql://h/d";
  EXPECT_EQ(cli.Run({"doctor", "--set", "database.url=env:WEIR_OUR_DATABASE"}), kOk);
  EXPECT_EQ(cli.err, "");
}

TEST(Cli, LanesThatAQuotaCutsAreSaid) {
  CliHarness cli;
  EXPECT_EQ(
      cli.Run({"config", "show", "--set", "sources.lichess.lanes=4", "--set", "sources.lichess.quota=2/s"}),
      kOk);
  EXPECT_THAT(cli.err, HasSubstr("warning: sources.lichess: of 4 lanes 2 are used: the quota 2/s"));
  EXPECT_EQ(cli.Run({"config", "show", "--set", "sources.lichess.lanes=4"}), kOk);
  EXPECT_EQ(cli.err, "");
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
