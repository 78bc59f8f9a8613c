// `./dev demo` does what it shows. It fails by itself when a sync fails, no worker could be killed, or the
// tables differ.
#include <gmock/gmock.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

using ::testing::HasSubstr;

class Demo : public E2eTest {
 protected:
  Demo() : E2eTest(Database::kPrivate, Broker::kEmbedded) {}

  process::SpawnOptions Script() const {
    process::SpawnOptions options;
    options.argv = {"bash", WEIR_DEMO, "--quick"};
    options.env = {{"WEIR_BIN_DIR", WEIR_E2E_BIN}, {"TMPDIR", dir_}, {"HOME", dir_}};
    options.clean_env = true;
    options.cwd = dir_;
    return options;
  }
};

TEST_F(Demo, ShowsASyncWithAKilledWorkerAndLeavesNothingRunning) {
  auto demo = Process::Spawn(Script());
  ASSERT_TRUE(demo) << demo.error().message;
  const Outcome outcome = Finish(**demo, Millis(120'000));
  EXPECT_EQ(outcome.Status(), 0) << outcome.out << outcome.err;
  for (const char* line :
       {"kill -KILL ", "a worker ended and was started again", "lichess/DrNykterstein equal 707\n",
        "lichess/thibault equal 500\n", "lichess/penguingim1 equal 400\n", "chesscom/hikaru equal 505\n",
        "chesscom/gothamchess equal 300\n", "chesscom/erik equal 200\n", "(5 rows)", "To look again:"}) {
    EXPECT_THAT(outcome.out, HasSubstr(line));
  }
  EXPECT_THAT(Living(), ::testing::IsEmpty());
}

// Ctrl-C in the middle of a sync: its parts end too.
TEST_F(Demo, InterruptedItEndsAllThatItStarted) {
  auto options = Script();
  options.own_group = true;
  auto demo = Process::Spawn(options);
  ASSERT_TRUE(demo) << demo.error().message;
  ASSERT_TRUE((*demo)->WaitForOut("job 1  running", kPatience)) << (*demo)->Out() << (*demo)->Err();
  EXPECT_FALSE(Living().empty());
  (*demo)->SignalGroup(SIGINT);
  const Outcome outcome = Finish(**demo);
  EXPECT_EQ(outcome.Status(), 130) << outcome.out << outcome.err;
  EXPECT_THAT(Living(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace weir::e2e
