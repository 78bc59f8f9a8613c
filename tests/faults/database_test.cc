// The database that restarts, is cut off, fills its disk, or answers a COMMIT to nobody.
#include <fmt/core.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {
namespace {

class ApacheKafkaDatabase : public FaultTest {
 protected:
  void Begin(std::int64_t games = 3'000) {
    Control("settings", {{"latency_ms", 100}});
    StartProducer();
    StartWorkers(3);
    Make({"chesscom", "hikaru", games});
    Make({"lichess", "alice", games});
    Enqueue("chesscom", {"hikaru"});
    Enqueue("lichess", {"alice"});
    ASSERT_TRUE(AwaitFetched(100)) << members_.front()->process->Err();
  }
  void End() {
    Control("settings", {{"latency_ms", 0}});
    ASSERT_TRUE(AwaitEnded());
    ExpectWhole();
    // Nothing is spent because the database is ill.
    EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0);
  }
  Millis UntilProgress() const {
    const auto begin = Steady::now();
    const std::int64_t fetched = Fetched();
    EXPECT_TRUE(AwaitFetched(fetched + 1));
    return std::chrono::duration_cast<Millis>(Steady::now() - begin);
  }
};

// Every connection falls silent: no FIN, no RST, and never an answer.
TEST_F(ApacheKafkaDatabase, CutOffWithoutAReset) {
  Begin(4'000);
  database_net_->BlackHoleAll();
  // What was on its way counts as no progress.
  const std::string running =
      "count(*) > 0 from weir.tasks t join weir.workers w on w.id = t.owner where "
      "t.advanced_at > clock_timestamp() - interval '300 ms' and w.seen_at > clock_timestamp() "
      "- interval '300 ms'";
  const auto begin = Steady::now();
  ASSERT_TRUE(Await(running));
  const auto took = std::chrono::duration_cast<Millis>(Steady::now() - begin);
  fmt::print("work went on after {} ms\n", took.count());
  EXPECT_LT(took, Millis(30'000));
  End();
}

TEST_F(ApacheKafkaDatabase, CommitsThatNobodyHearsOf) {
  Begin();
  for (int i = 0; i < 6; ++i) {
    database_net_->CutAfterCommit(proxy::CommitCut::kReset, 1 + static_cast<int>(Random()() % 20));
    ASSERT_TRUE(database_net_->WaitForCommitCut(kPatience)) << i;
  }
  database_net_->CutAfterCommit(proxy::CommitCut::kBlackHole, 3);
  ASSERT_TRUE(database_net_->WaitForCommitCut(kPatience));
  End();
}

// With a server of its own, which it may stop.
class ApacheKafkaOwnDatabase : public ApacheKafkaDatabase {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-own-pg-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    server_home_ = pattern;
    std::filesystem::permissions(server_home_, std::filesystem::perms(0755));
    // What was committed is there after a crash, as on any server that keeps its promises: the lanes' leases,
    // and with them the upstream's limits, rest on that.
    UseOwnPostgres(server_home_, {"synchronous_commit=on"});
    ApacheKafkaDatabase::SetUp();
  }
  void TearDown() override {
    ApacheKafkaDatabase::TearDown();
    std::error_code ignored;
    std::filesystem::remove_all(server_home_, ignored);
  }
  std::string server_home_;
};

// Stopped in order, or killed. What a crash takes from the ledger it takes from the tables, too.
TEST_F(ApacheKafkaOwnDatabase, RestartedInALoop) {
  Begin(6'000);
  for (int i = 0; i < 5; ++i) {
    // Six lanes need more than two seconds for their months: the server stops amid work, and there is some
    // left.
    const Strings more{fmt::format("more{}", 2 * i), fmt::format("more{}", 2 * i + 1)};
    for (const std::string& name : more) Make({"chesscom", name, 1'500});
    Enqueue("chesscom", more);
    std::this_thread::sleep_for(Between(Millis(200), Millis(1'500)));
    if (Random()() % 2 == 0) {
      own_postgres_->Kill();
    } else {
      const auto stopped = own_postgres_->Stop();
      ASSERT_TRUE(stopped) << stopped.error().message;
    }
    std::this_thread::sleep_for(Between(Millis(0), Millis(1'000)));
    const auto started = own_postgres_->Start();
    ASSERT_TRUE(started) << started.error().message;
    fmt::print("progress {} ms after the restart\n", UntilProgress().count());
  }
  End();
}

// A file system for the tables that is full, and then is not.
class SmallDisk {
 public:
  // It belongs to whom the server's data belongs to.
  SmallDisk(std::string at, const std::string& data) : at_(std::move(at)) {
    std::filesystem::create_directories(at_);
    struct stat of {};
    if (::stat(data.c_str(), &of) != 0) return;
    const std::string options = fmt::format("size=14m,mode=0700,uid={},gid={}", of.st_uid, of.st_gid);
    mounted_ = ::mount("weir-test", at_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  bool Grow() const { return ::mount("weir-test", at_.c_str(), "tmpfs", MS_REMOUNT, "size=400m") == 0; }

 private:
  const std::string at_;
  bool mounted_ = false;
};

TEST_F(ApacheKafkaOwnDatabase, DiskFull) {
  const SmallDisk disk(server_home_ + "/disk", server_home_ + "/postgres");
  ASSERT_TRUE(disk.mounted()) << "mounting a small file system needs root";
  Text("create tablespace small location '" + server_home_ + "/disk'");
  Text(
      "do $$ declare r record; begin for r in select schemaname s, tablename t from pg_tables where "
      "schemaname in "
      "('lichess', 'chesscom') loop execute format('alter table %I.%I set tablespace small', r.s, r.t); end "
      "loop; "
      "end $$");
  Begin(9'000);
  // Full, and they say so.
  const bool full = process::WaitUntil(
      [&] {
        for (const auto& member : members_) {
          if (member->process->Err().find("No space left on device") != std::string::npos) return true;
        }
        return false;
      },
      kPatience);
  ASSERT_TRUE(full) << members_.front()->process->Err();
  EXPECT_EQ(Number("select count(*) from weir.tasks where state = 'dead'"), 0);
  EXPECT_EQ(Number("select count(*) from weir.rejects"), 0);
  ASSERT_TRUE(disk.Grow());
  fmt::print("progress {} ms after there was room\n", UntilProgress().count());
  End();
  Text(
      "do $$ declare r record; begin for r in select schemaname s, tablename t from pg_tables where "
      "schemaname in "
      "('lichess', 'chesscom') loop execute format('alter table %I.%I set tablespace pg_default', r.s, r.t); "
      "end "
      "loop; end $$");
  Text("drop tablespace small");
}

}  // namespace
}  // namespace weir::faults
