// The real program with a standard output that cannot be written, or none.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

class Output : public OnNothing {
 protected:
  // `weir ARGUMENTS`, or another of the programs, in a shell, with its redirections.
  Outcome InShell(const std::string& arguments, const char* program = "weir") const {
    process::SpawnOptions options = Options(program, {});
    options.argv = {"/bin/sh", "-c", "exec \"$0\" " + arguments, options.argv.front()};
    auto process = Process::Spawn(options);
    EXPECT_TRUE(process);
    return process ? Finish(**process) : Outcome{};
  }
};

TEST_F(Output, OnAFullDiskIsAFailure) {
  Players({"lichess/alice=100"});
  const char* const said = "error: cannot write to standard output: No space left on device\n";
  for (const char* arguments : {"config schema", "completion bash", "--help", "--version", "sources list",
                                "sync lichess/games --account alice --output json", "jobs list"}) {
    const Outcome full = InShell(fmt::format("{} >/dev/full", arguments));
    EXPECT_EQ(full.Status(), 1) << arguments;
    EXPECT_THAT(full.err, HasSubstr(said)) << arguments;
  }
  const Outcome silent = InShell("config schema >/dev/full 2>&-");
  EXPECT_EQ(silent.Status(), 1);
  EXPECT_EQ(InShell("config schema 2>/dev/full").Status(), 0) << "what it had to print, it printed";
}

TEST_F(Output, OfTheWorkerOnAFullDiskIsAFailureToo) {
  for (const char* arguments : {"--help", "--version"}) {
    const Outcome full = InShell(fmt::format("{} >/dev/full", arguments), "weir-worker");
    EXPECT_EQ(full.Status(), 1) << arguments;
    EXPECT_EQ(full.err, "error: cannot write to standard output: No space left on device\n") << arguments;
    const Outcome closed = InShell(fmt::format("{} >&-", arguments), "weir-worker");
    EXPECT_EQ(closed.Status(), 1) << arguments;
    const Outcome fine = InShell(arguments, "weir-worker");
    EXPECT_EQ(fine.Status(), 0) << arguments;
    EXPECT_FALSE(fine.out.empty()) << arguments;
  }
  EXPECT_EQ(InShell("--nonsense", "weir-worker").Status(), 2);
}

// The next file that is opened must not get the number of a closed one, and what is printed with it.
TEST_F(Output, ThatIsClosedIsAFailureAndNothingElseIsWrittenTo) {
  const Outcome closed = InShell("jobs list --output json >&-");
  EXPECT_NE(closed.Status(), 0);
  const Outcome schema = InShell("config schema >&-");
  EXPECT_EQ(schema.Status(), 1);
  EXPECT_THAT(schema.err, HasSubstr("cannot write to standard output: Bad file descriptor"));
  Players({"lichess/alice=100"});
  const Outcome sync = InShell("sync lichess/games --account alice <&- >&- 2>&-");
  EXPECT_EQ(sync.Status(), 1) << "its summary went nowhere";
  const Outcome again = Sync("lichess", {"alice"});
  EXPECT_EQ(again.Total("inserted"), 0) << "the data was written all the same";
}

TEST_F(Output, WhoseReaderWentAwayIsQuiet) {
  // The reader is gone before the writer begins.
  process::SpawnOptions options = Options("weir", {});
  options.argv = {
      "/bin/sh", "-c",
      "mkfifo go && { read -r _ <go; trap '' PIPE; \"$0\" config schema; echo \"code $?\" >&2; } | "
      "{ exec <&-; echo now >go; }",
      options.argv.front()};
  auto process = Process::Spawn(options);
  ASSERT_TRUE(process);
  EXPECT_EQ(Finish(**process).err, "code 1\n") << "no word of it";
}

}  // namespace
}  // namespace weir::e2e
