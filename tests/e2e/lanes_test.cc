// A meter's lanes over several workers that come and go: never more requests at once than lanes, by the
// upstream's own count, and all of them used.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/e2e/e2e.h"

namespace weir::e2e {
namespace {

constexpr int kLanes = 3;

class Lanes : public OnDatabase {
 protected:
  void SetUp() override {
    OnDatabase::SetUp();
    env_["WEIR_SOURCES_LICHESS_LANES"] = std::to_string(kLanes);
    env_["WEIR_SOURCES_LICHESS_WINDOW_GAMES"] = "50";
    env_["WEIR_KAFKA_SESSION_TIMEOUT"] = "4s";
    StartServices();
    Control("settings", {{"parallel", {{"lichess", kLanes}, {"chesscom", 1}}}});
  }
  void TearDown() override {
    workers_.clear();
    OnDatabase::TearDown();
  }

  // A worker joins; its name in the ledger.
  std::string Join() {
    const std::string pod = fmt::format("worker-{}", ++joined_);
    const std::string name = pod + "-1";
    auto options = Options("weir-worker", {});
    options.env["WEIR_KAFKA_BROKERS"] = Brokers();
    options.env["WEIR_DATABASE_URL"] = DatabaseUrl();
    options.env["WEIR_WORKER_ID"] = pod;
    options.env["WEIR_WORKER_INCARNATION"] = "1";
    auto worker = Process::Spawn(options);
    EXPECT_TRUE(worker) << worker.error().message;
    if (worker) workers_[name] = std::move(*worker);
    return name;
  }
  std::int64_t Fetched() const { return Number("select coalesce(sum(fetched), 0) from weir.tasks"); }
  void AwaitProgress(std::int64_t records = 150) {
    const std::int64_t least = Fetched() + records;
    EXPECT_TRUE(process::WaitUntil([&] { return Fetched() >= least; }, kPatience))
        << "stuck at " << Fetched();
  }
  // One that has a request in flight.
  std::string Busy() {
    std::string name;
    process::WaitUntil(
        [&] {
          name =
              Text("select owner from weir.tasks where state = 'running' and kind <> 0 order by id limit 1");
          return workers_.contains(name);
        },
        kPatience);
    EXPECT_TRUE(workers_.contains(name)) << "nobody is busy";
    return name;
  }
  void AwaitWithoutLanes(const std::string& name) {
    EXPECT_TRUE(Await(fmt::format("not exists (select from weir.lanes where holder = '{}')", name)));
  }

  std::map<std::string, std::unique_ptr<Process>> workers_;
  int joined_ = 0;
};

TEST_F(Lanes, NeverMoreRequestsThanLanes) {
  Players({"lichess/alice=6000"});
  SetPace(100, 100);
  const auto sync = StartSync("lichess", {"alice"}, {"--workers", "0"});
  ASSERT_TRUE(Await("count(*) > 0 from weir.jobs"));
  for (int i = 0; i < 3; ++i) Join();
  AwaitProgress(1);
  for (int round = 0; round < 2; ++round) {
    SCOPED_TRACE(round);
    // Killed with a request in flight; another comes.
    const std::string killed = Busy();
    workers_.erase(killed);  // SIGKILL
    Join();
    AwaitProgress();
    // Drained with a request in flight, while another joins.
    const std::string drained = Busy();
    workers_[drained]->Signal(SIGTERM);
    Join();
    const auto exit = workers_[drained]->Wait(kPatience);
    ASSERT_TRUE(exit);
    EXPECT_EQ(exit->code, 0) << workers_[drained]->Err();
    workers_.erase(drained);
    AwaitProgress();
    // Stopped with a request in flight until others have its lanes, then let go on.
    const std::string stopped = Busy();
    workers_[stopped]->Signal(SIGSTOP);
    AwaitWithoutLanes(stopped);
    AwaitProgress();
    workers_[stopped]->Signal(SIGCONT);
    AwaitProgress();
  }
  SetPace(0, 0);
  const Outcome outcome = Finish(*sync, Millis(90'000));
  ExpectFirstSync(outcome, 6000);
  ExpectCopy("lichess", "alice");
  const Json stats = Control("stats");
  EXPECT_EQ(stats["violations"], 0);
  EXPECT_EQ(stats["meters"].size(), 1u);
  for (const auto& [name, meter] : stats["meters"].items()) {
    EXPECT_EQ(meter["max"], kLanes) << name << ": all lanes were used, and no more";
  }
  EXPECT_EQ(Number("select count(*) from weir.tasks where attempts > 0"), 0)
      << "none of this counts as a failure";
}

}  // namespace
}  // namespace weir::e2e
