#include "common/pg/embedded_postgres.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "common/pg/session.h"

namespace weir::pg {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A home of its own; whatever still runs there at the end is ended.
class EmbeddedPostgresTest : public ::testing::Test {
 protected:
  EmbeddedPostgresTest() {
    std::string pattern = "/tmp/weir-embedded-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::permissions(root_, fs::perms(0755));
  }
  ~EmbeddedPostgresTest() override {
    for (const std::string& home : homes_) EmbeddedPostgres(Options(home)).Kill();
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  EmbeddedPostgresOptions Options(const std::string& home) const {
    EmbeddedPostgresOptions options;
    options.home = home;
    options.durable = false;
    options.dies_with_parent = true;
    return options;
  }
  void KillAtEnd(const EmbeddedPostgres& server) { homes_.push_back(server.home().path()); }
  static Result<std::string> Query(const std::string& url, const std::string& sql) {
    SessionOptions options;
    options.url = url;
    Session session(options);
    auto rows = session.Script(sql);
    if (!rows) return Fail(rows.error());
    return rows->Empty() ? std::string() : std::string(rows->Text(0, 0));
  }

  std::string root_;
  std::vector<std::string> homes_;
};

TEST_F(EmbeddedPostgresTest, AFullDiskIsSaidBeforeAnythingIsMade) {
  EmbeddedPostgresOptions options = Options(root_ + "/home");
  std::uintmax_t left = 63 << 20;
  std::string asked;
  options.free_space = [&](const std::string& folder) {
    asked = folder;
    return left;
  };
  const auto full = EmbeddedPostgres(options).Start();
  ASSERT_FALSE(full);
  EXPECT_EQ(asked, root_);
  EXPECT_THAT(full.error().message, HasSubstr("the disk of " + root_ + "/home is full"));
  EXPECT_THAT(full.error().message, HasSubstr("63 are left"));
  EXPECT_THAT(full.error().hint, HasSubstr("WEIR_HOME"));
  EXPECT_FALSE(fs::exists(root_ + "/home"));
  left = 64 << 20;
  EmbeddedPostgres server(options);
  KillAtEnd(server);
  const auto url = server.Start();
  ASSERT_TRUE(url) << url.error().message;
  ASSERT_TRUE(server.Stop());
  left = (4 << 20) - 1;
  EXPECT_FALSE(server.Start()) << "what is made needs some room, too";
}

TEST_F(EmbeddedPostgresTest, StartAdoptStopAndStartKeepTheData) {
  EmbeddedPostgres first(Options(root_ + "/deep/home"));
  const auto url = first.Start();
  ASSERT_TRUE(url) << url.error().message << " " << url.error().hint;
  EXPECT_FALSE(first.adopted());
  ASSERT_TRUE(Query(*url, "create table kept (x int); insert into kept values (42)"));
  EXPECT_EQ(*Query(*url, "show listen_addresses"), "");
  EXPECT_EQ(*Query(*url,
                   "select current_database() || pg_encoding_to_char(encoding) from pg_database "
                   "where datname = 'weir'"),
            "weirUTF8");
  struct stat socket_dir {};
  ASSERT_EQ(stat(first.home().Socket().c_str(), &socket_dir), 0);
  EXPECT_EQ(socket_dir.st_mode & 0777, 0700U);
  // Another process's Start adopts it.
  EmbeddedPostgres second(Options(root_ + "/deep/../deep/home/"));
  const auto again = second.Start();
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(second.adopted());
  EXPECT_EQ(*again, *url);
  EXPECT_EQ(second.RunningPid(), first.RunningPid());
  // Whoever stops it, it is gone when Stop returns; stopping twice is no error.
  const pid_t pid = first.RunningPid();
  ASSERT_NE(pid, 0);
  ASSERT_TRUE(second.Stop());
  EXPECT_EQ(first.RunningPid(), 0);
  EXPECT_NE(kill(pid, 0), 0);
  EXPECT_TRUE(first.Stop());
  EXPECT_FALSE(Query(*url, "select 1"));
  ASSERT_TRUE(first.Start());
  EXPECT_FALSE(first.adopted());
  EXPECT_EQ(*Query(*url, "select x from kept"), "42");
  EXPECT_TRUE(first.Stop());
}

TEST_F(EmbeddedPostgresTest, ACrashedServerAndItsStalePidFileAreNoObstacle) {
  auto durable = Options(root_);
  durable.durable = true;
  EmbeddedPostgres server(durable);
  KillAtEnd(server);
  const auto url = server.Start();
  ASSERT_TRUE(url) << url.error().message;
  ASSERT_TRUE(Query(*url, "create table kept (x int)"));
  SessionOptions options;
  options.url = *url;
  Session orphan(options);  // its backend outlives the postmaster for a moment
  ASSERT_TRUE(orphan.Connect());
  server.Kill();
  EXPECT_EQ(server.RunningPid(), 0);
  ASSERT_TRUE(fs::exists(server.home().Data() + "/postmaster.pid"));
  const auto restarted = server.Start();
  ASSERT_TRUE(restarted) << restarted.error().message;
  EXPECT_FALSE(server.adopted());
  EXPECT_TRUE(Query(*url, "select * from kept"));
  ASSERT_TRUE(server.Stop());
  // The number of the dead one belongs to somebody else by now: to this very process.
  std::ofstream(server.home().Data() + "/postmaster.pid") << getpid() << "\n" << server.home().Data() << "\n";
  EXPECT_EQ(server.RunningPid(), 0);
  EXPECT_TRUE(server.Stop()) << "and is not stopped by mistake";
  const auto third = server.Start();
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_TRUE(server.Stop());
}

TEST_F(EmbeddedPostgresTest, AHomeTooLongForASocketHasItInTmp) {
  const std::string home = root_ + "/" + std::string(60, 'l') + "/" + std::string(60, 'l') + " it's";
  EmbeddedPostgres server(Options(home));
  KillAtEnd(server);
  EXPECT_THAT(server.home().Socket(), ::testing::MatchesRegex("/tmp/weir-[0-9a-f]{16}"));
  const auto url = server.Start();
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(*Query(*url, "select 1"), "1");
  EXPECT_TRUE(server.Stop());
  fs::remove_all(server.home().Socket());
  // A folder that someone else laid there is not trusted.
  fs::create_directory(server.home().Socket());
  fs::permissions(server.home().Socket(), fs::perms(0777));
  const auto refused = server.Start();
  fs::remove_all(server.home().Socket());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig);
}

TEST_F(EmbeddedPostgresTest, DataOfAnotherVersionIsAClearError) {
  EmbeddedPostgres server(Options(root_));
  KillAtEnd(server);
  ASSERT_TRUE(server.Start());
  ASSERT_TRUE(server.Stop());
  std::ofstream(server.home().Data() + "/PG_VERSION") << "9\n";
  const auto refused = server.Start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(refused.error().message, HasSubstr("PostgreSQL 9"));
  EXPECT_THAT(refused.error().hint, HasSubstr("postgresql-9"));
}

TEST_F(EmbeddedPostgresTest, WhatTheServerSaysIsInTheError) {
  auto options = Options(root_);
  options.settings = {"shared_buffers=nonsense"};
  EmbeddedPostgres server(options);
  KillAtEnd(server);
  const auto refused = server.Start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(refused.error().message, HasSubstr("shared_buffers"));
}

TEST_F(EmbeddedPostgresTest, DataThatAnUnseenServerHoldsIsNotTouched) {
  auto options = Options(root_);
  EmbeddedPostgres server(options);
  KillAtEnd(server);
  ASSERT_TRUE(server.Start());
  ASSERT_TRUE(server.Stop());
  const auto held =
      server.home().LockData(std::chrono::milliseconds(0));  // as one in another container would
  ASSERT_TRUE(held);
  options.start_timeout = std::chrono::milliseconds(50);
  EmbeddedPostgres other(options);
  const auto refused = other.Start();
  close(*held);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(refused.error().message, HasSubstr("not visible"));
}

// Takes a capability from this thread until its end.
class WithoutCapability {
 public:
  explicit WithoutCapability(int capability) {
    syscall(SYS_capget, &head_, before_.data());
    auto now = before_;
    now[static_cast<std::size_t>(capability / 32)].effective &= ~(1U << capability % 32);
    syscall(SYS_capset, &head_, now.data());
  }
  ~WithoutCapability() { syscall(SYS_capset, &head_, before_.data()); }
  WithoutCapability(const WithoutCapability&) = delete;
  WithoutCapability& operator=(const WithoutCapability&) = delete;

 private:
  __user_cap_header_struct head_{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> before_{};
};

// As in Docker: root then may not look at what another user's process does.
TEST_F(EmbeddedPostgresTest, RootWithoutPtraceSeesItsServer) {
  if (geteuid() != 0) return;  // it runs as the caller, who sees what is his own
  EmbeddedPostgres server(Options(root_));
  KillAtEnd(server);
  ASSERT_TRUE(server.Start());
  const pid_t pid = server.RunningPid();
  ASSERT_NE(pid, 0);
  const WithoutCapability no_ptrace(CAP_SYS_PTRACE);
  std::error_code error;
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd", error), "");
  ASSERT_TRUE(error) << "the capability is still there";
  EXPECT_EQ(server.RunningPid(), pid);
  EmbeddedPostgres second(Options(root_));
  ASSERT_TRUE(second.Start());
  EXPECT_TRUE(second.adopted());
  EXPECT_TRUE(second.Stop());
  EXPECT_NE(kill(pid, 0), 0);
  EXPECT_EQ(server.RunningPid(), 0);
  // Its number belongs to another process of another user by now.
  const pid_t other = fork();
  if (other == 0) {
    const bool dropped = setgid(65534) == 0 && setuid(65534) == 0;
    pause();
    _exit(dropped ? 0 : 1);
  }
  std::ofstream(server.home().Data() + "/postmaster.pid") << other << "\n" << server.home().Data() << "\n";
  EXPECT_EQ(server.RunningPid(), 0);
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
}

TEST_F(EmbeddedPostgresTest, StopDoesNotCallAnUnseenServerStopped) {
  auto options = Options(root_);
  options.stop_timeout = std::chrono::milliseconds(50);
  EmbeddedPostgres server(options);
  KillAtEnd(server);
  ASSERT_TRUE(server.Start());
  server.Kill();
  const auto held = server.home().LockData(std::chrono::milliseconds(10'000));
  ASSERT_TRUE(held);
  const auto stopped = server.Stop();
  close(*held);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(stopped.error().message, HasSubstr("not visible"));
  EXPECT_TRUE(server.Stop());
}

// Whoever runs the server owns its folder, and may lay a link where root is about to write.
TEST_F(EmbeddedPostgresTest, RootWritesIntoNoLinkOfTheServersUser) {
  ServerHome home(root_);
  ASSERT_TRUE(home.Make());
  const std::string target = root_ + "/target", own = root_ + "/own";
  for (const std::string& path : {target, own}) {
    std::ofstream(path) << "before\n";
    ASSERT_EQ(chown(path.c_str(), home.identity().uid, home.identity().gid), 0);
  }
  fs::create_symlink(target, root_ + "/symbolic");
  fs::create_hard_link(target, root_ + "/hard");
  ASSERT_EQ(mkfifo((root_ + "/pipe").c_str(), 0600), 0);
  for (const char* name : {"/symbolic", "/hard", "/pipe", "/nothing"}) {
    const auto refused = home.AppendToOwn(root_ + name, "after\n");
    ASSERT_FALSE(refused) << name;
    EXPECT_THAT(refused.error().message, HasSubstr(root_ + name));
  }
  EXPECT_EQ(ReadText(target), "before\n");
  EXPECT_TRUE(home.AppendToOwn(own, "after\n"));
  EXPECT_EQ(ReadText(own), "before\nafter\n");
}

// As root the server runs as `postgres`; everyone else runs it themselves. Root tries both.
TEST_F(EmbeddedPostgresTest, AnOrdinaryUserRunsItAsThemselves) {
  if (geteuid() == 0) {
    const passwd* nobody = getpwnam("nobody");
    ASSERT_NE(nobody, nullptr);
    ASSERT_EQ(chown(root_.c_str(), nobody->pw_uid, nobody->pw_gid), 0);
    const std::string home = root_ + "/home";
    const pid_t child = fork();
    if (child == 0) {
      const bool dropped =
          setgroups(0, nullptr) == 0 && setgid(nobody->pw_gid) == 0 && setuid(nobody->pw_uid) == 0;
      EmbeddedPostgres server(Options(home));
      const auto url = dropped ? server.Start() : Fail(ErrorClass::kInternal, "cannot become nobody");
      struct stat data {};
      const bool mine = stat(server.home().Data().c_str(), &data) == 0 && data.st_uid == nobody->pw_uid;
      const bool ok = url && mine && Query(*url, "select 1") && server.Stop();
      if (!url) std::fprintf(stderr, "%s\n", url.error().message.c_str());
      _exit(ok ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return;
  }
  EmbeddedPostgres server(Options(root_));
  ASSERT_TRUE(server.Start());
  EXPECT_TRUE(server.Stop());
}

TEST_F(EmbeddedPostgresTest, AHomeThatTheServersUserCannotEnterIsAClearError) {
  if (geteuid() != 0) {
    // Then the caller is that user, and its folders are its own: what remains is a home that cannot be made.
    const auto refused = EmbeddedPostgres(Options("/proc/weir")).Start();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig);
    return;
  }
  fs::permissions(root_, fs::perms(0700));
  const auto refused = EmbeddedPostgres(Options(root_ + "/home")).Start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(refused.error().message, HasSubstr(root_));
  EXPECT_THAT(refused.error().hint, HasSubstr("WEIR_HOME"));
}

}  // namespace
}  // namespace weir::pg
