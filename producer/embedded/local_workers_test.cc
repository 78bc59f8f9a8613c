#include "producer/embedded/local_workers.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/ledger/lanes.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LocalWorkersTest : public ledger::testing::LedgerFixture {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // A worker that is a shell script.
  LocalWorkersOptions Options(const std::string& body, int count = 1) {
    LocalWorkersOptions options;
    options.program = (dir_ / "worker").string();
    std::ofstream(options.program) << "#!/bin/sh\n" << body << "\n";
    chmod(options.program.c_str(), 0755);
    options.environment = {{"WEIR_DATABASE_URL", options_.url}};
    options.log_dir = dir_.string();
    options.count = count;
    options.database = options_;
    options.drain_timeout = milliseconds(500);
    return options;
  }
  // Waits for it; a failure after half a minute.
  template <typename Condition>
  void Await(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + seconds(30);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), until);
      usleep(5'000);
    }
  }
  std::string LogOf(int worker) {
    std::ifstream in(dir_ / ("worker-" + std::to_string(worker) + ".log"));
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string AfterDeathBy(int signal);

  const std::filesystem::path dir_ =
      std::filesystem::temp_directory_path() / ("weir-workers-" + std::to_string(getpid()));
  SystemClock clock_;
};

TEST_F(LocalWorkersTest, EachGetsItsIdItsArgumentsAndItsLog) {
  LocalWorkersOptions options = Options(
      "echo \"$WEIR_WORKER_ID-$WEIR_WORKER_INCARNATION $* ${WEIR_DATABASE_URL:+url}\"; exec sleep 1000", 2);
  options.arguments = {"--set", "a=b"};
  LocalWorkers workers(options, clock_);
  workers.Start();
  Await([&] { return LogOf(2).ends_with("url\n") && LogOf(1).ends_with("url\n"); });
  const std::string log = LogOf(2);
  const std::string id = log.substr(0, log.find(' '));
  EXPECT_TRUE(id.starts_with("local-" + std::to_string(getpid()) + "-2-") && id.ends_with("1")) << id;
  EXPECT_EQ(log.substr(id.size()), " --set a=b url\n");
  EXPECT_EQ(workers.Pids().size(), 2u);
  workers.Stop();
  EXPECT_TRUE(workers.Pids().empty());
}

// What `signal` does to a worker that runs a task: the task's state and crashes afterwards.
std::string LocalWorkersTest::AfterDeathBy(int signal) {
  LocalWorkers workers(Options("echo \"$WEIR_WORKER_ID-$WEIR_WORKER_INCARNATION\"; exec sleep 1000"), clock_);
  workers.Start();
  Await([&] { return LogOf(1).ends_with("\n"); });
  const pid_t first = workers.Pids().front();
  std::string id = LogOf(1);
  id.pop_back();
  Open(Request({"alice"}));
  Run("update weir.tasks set state = 'running', epoch = 1, owner = '" + id + "'");
  Run("update weir.lanes set holder = '" + id + "', lease_until = now() + interval '1 h'");
  Run("insert into weir.workers (id, host, pid) values ('" + id + "', 'h', 1)");
  kill(first, signal);
  Await([&] { return workers.Pids().size() == 1 && workers.Pids().front() != first; });
  Await([&] { return Text("select count(*) from weir.workers") == "0"; });
  EXPECT_EQ(Text("select holder is null from weir.lanes"), "t");
  EXPECT_EQ(workers.Restarts(), 1);
  EXPECT_FALSE(workers.Failed());
  return Text("select state || crashes from weir.tasks");
}

TEST_F(LocalWorkersTest, OneThatWasAskedToEndIsBuriedAndStartedAgain) {
  EXPECT_EQ(AfterDeathBy(SIGTERM), "planned0");
}

// The kernel's OOM killer sends SIGKILL.
TEST_F(LocalWorkersTest, AKillIsCountedAgainstThePage) { EXPECT_EQ(AfterDeathBy(SIGKILL), "planned1"); }

TEST_F(LocalWorkersTest, ACrashIsCountedAgainstThePage) { EXPECT_EQ(AfterDeathBy(SIGSEGV), "planned1"); }

TEST_F(LocalWorkersTest, EachIsToldHowManyStartTogether) {
  LocalWorkers workers(Options("echo \"$WEIR_WORKER_PEERS\"; exec sleep 1000", 2), clock_);
  workers.Start();
  Await([&] { return LogOf(1) == "2\n" && LogOf(2) == "2\n"; });
}

TEST_F(LocalWorkersTest, ARefusedConfigurationIsNotTriedAgain) {
  LocalWorkers workers(Options("exit 2", 2), clock_);
  workers.Start();
  Await([&] { return workers.Failed().has_value(); });
  EXPECT_NE(workers.Failed()->message.find("configuration"), std::string::npos);
  EXPECT_NE(workers.Failed()->hint.find("worker-"), std::string::npos);
  EXPECT_EQ(workers.Restarts(), 0);
}

// What was read by one that we kill ourselves is not to blame.
TEST_F(LocalWorkersTest, OneThatDoesNotEndIsKilled) {
  LocalWorkers workers(Options("trap '' TERM; echo \"$WEIR_WORKER_ID-$WEIR_WORKER_INCARNATION\"; while :; do "
                               "sleep 1000 & wait; done"),
                       clock_);
  workers.Start();
  Await([&] { return LogOf(1).ends_with("\n"); });
  const pid_t pid = workers.Pids().front();
  std::string id = LogOf(1);
  id.pop_back();
  Open(Request({"alice"}));
  Run("update weir.tasks set state = 'running', epoch = 1, owner = '" + id + "'");
  workers.Stop();
  EXPECT_NE(kill(pid, 0), 0);
  EXPECT_EQ(Text("select state || crashes from weir.tasks"), "planned0");
}

TEST_F(LocalWorkersTest, ALogIsBoundedWhileItsWorkerRuns) {
  LocalWorkersOptions options = Options(
      "read -r line < \"$0.go\"; i=0; while [ $i -lt 11 ]; do head -c 1048576 /dev/zero; i=$((i+1)); done\n"
      "touch \"$0.done\"; exec sleep 1000");
  ASSERT_EQ(mkfifo((dir_ / "worker.go").c_str(), 0600), 0);
  LocalWorkers workers(options, clock_);
  workers.Start();
  std::ofstream(dir_ / "worker.go") << "go\n";  // waits for its reader
  Await([&] { return std::filesystem::exists(dir_ / "worker.done"); });
  Await([&] { return std::filesystem::file_size(dir_ / "worker-1.log") < 10 << 20; });
  EXPECT_TRUE(std::filesystem::exists(dir_ / "worker-1.log.1"));
  EXPECT_EQ(workers.Restarts(), 0);
}

TEST_F(LocalWorkersTest, AProgramThatIsNotThereIsSaid) {
  LocalWorkersOptions options = Options("");
  options.program = "/nonexistent/weir-worker";
  LocalWorkers workers(options, clock_);
  workers.Start();
  Await([&] { return workers.Failed().has_value(); });
}

}  // namespace
}  // namespace weir
