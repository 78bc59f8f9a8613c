#include "common/pg/server_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "tests/support/postgres/test_postgres.h"
#include "tests/support/process/process.h"

namespace weir::pg {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using weir::testing::TestPostgres;

// `url` for another database or role; in both of its forms the last word counts.
std::string With(const std::string& url, const std::string& parameter) {
  if (url.find("://") == std::string::npos) return url + " " + parameter;
  return url + (url.find('?') == std::string::npos ? "?" : "&") + parameter;
}

class ServerCheckTest : public ::testing::Test {
 protected:
  SessionOptions Options(const std::string& parameter) const {
    SessionOptions options = db_.Options();
    options.url = With(options.url, parameter);
    return options;
  }
  // A role that may log in, dropped at the end.
  std::string Role(const std::string& more) {
    role_ = db_.database() + "_role";
    db_.Query("drop role if exists " + role_);
    db_.Query("create role " + role_ + " login " + more);
    return role_;
  }
  void TearDown() override {
    if (!other_.empty()) db_.Query("drop database " + other_ + " with (force)");
    if (!role_.empty()) db_.Query("drop role " + role_);
  }

  TestPostgres db_;
  Session session_{db_.Options()};
  std::string role_, other_;
};

TEST_F(ServerCheckTest, AServerThatIsFitPasses) {
  EXPECT_TRUE(CheckServer(session_));
  EXPECT_TRUE(CheckWritable(session_));
  const auto few = CheckConnections(session_, "this test", 1, 2);
  ASSERT_TRUE(few) << few.error().message;
  EXPECT_EQ(*few, "");
}

TEST_F(ServerCheckTest, ADatabaseThatIsNotUtf8IsRefused) {
  for (const char* encoding : {"LATIN1", "SQL_ASCII"}) {
    other_ = db_.database() + "_other";
    db_.Query("create database " + other_ + " template template0 encoding '" + encoding + "' locale 'C'");
    {
      Session session(Options("dbname=" + other_));
      const auto fit = CheckServer(session);
      ASSERT_FALSE(fit);
      EXPECT_EQ(fit.error().error_class, ErrorClass::kConfig);
      EXPECT_THAT(fit.error().message, HasSubstr("weir needs a database with encoding UTF8"));
      EXPECT_THAT(fit.error().message, HasSubstr(encoding));
      EXPECT_FALSE(fit.error().hint.empty());
    }
    db_.Query("drop database " + std::exchange(other_, "") + " with (force)");
  }
}

TEST_F(ServerCheckTest, AReadOnlyServerIsRefusedByWhoWrites) {
  db_.Query("alter database " + db_.database() + " set default_transaction_read_only = on");
  Session session(db_.Options());
  EXPECT_TRUE(CheckServer(session)) << "who reads may";
  const auto writable = CheckWritable(session);
  ASSERT_FALSE(writable);
  EXPECT_EQ(writable.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(writable.error().message, HasSubstr("read-only"));
}

TEST_F(ServerCheckTest, TheNarrowestLimitOfConnectionsCounts) {
  Role("connection limit 5");
  Session session(Options("user=" + role_));
  const auto limit = ReadConnectionLimit(session);
  ASSERT_TRUE(limit) << limit.error().message;
  EXPECT_EQ(limit->most, 5);
  EXPECT_EQ(limit->used, 1);
  EXPECT_EQ(limit->of, "role " + role_);
  const auto too_few = CheckConnections(session, "weir sync", 7, 14);
  ASSERT_FALSE(too_few);
  EXPECT_EQ(too_few.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(too_few.error().message, HasSubstr("needs 14 connections"));
  EXPECT_THAT(too_few.error().message, HasSubstr("allows 5"));
  EXPECT_THAT(too_few.error().hint, HasSubstr("7 is the least"));
  const auto some = CheckConnections(session, "weir sync", 5, 14);
  ASSERT_TRUE(some);
  EXPECT_THAT(*some, HasSubstr("some will wait"));
  EXPECT_EQ(CheckConnections(session, "weir sync", 3, 5).value_or("?"), "");
  session.Reset();
  db_.Query("alter database " + db_.database() + " connection limit 3");
  EXPECT_EQ(ReadConnectionLimit(session)->of, "database " + db_.database());
}

// Without pg_read_all_stats a role does not see what other roles' backends are.
TEST_F(ServerCheckTest, TheConnectionsOfOtherRolesCountForAnOrdinaryOne) {
  const std::string another = db_.database() + "_another";
  db_.Query("create role " + another + " login");
  Role("");
  Session session(Options("user=" + role_));
  db_.Query("alter database " + db_.database() + " connection limit 5");
  ASSERT_TRUE(session.Script("select 1"));
  const auto room = FindFullLimit(session);
  ASSERT_TRUE(room) << room.error().message;
  EXPECT_FALSE(room->has_value());
  {
    std::vector<std::unique_ptr<Session>> others;
    for (int i = 0; i < 4; ++i) {
      others.push_back(std::make_unique<Session>(Options("user=" + another)));
      ASSERT_TRUE(others.back()->Script("select 1"));
    }
    const auto limit = ReadConnectionLimit(session);
    ASSERT_TRUE(limit) << limit.error().message;
    EXPECT_EQ(limit->of, "database " + db_.database());
    EXPECT_EQ(limit->used, 5);
    const auto full = FindFullLimit(session);
    ASSERT_TRUE(full) << full.error().message;
    ASSERT_TRUE(full->has_value());
    EXPECT_EQ((*full)->of, "database " + db_.database());
  }
  db_.Query("drop role " + another);
}

// A role with a wider limit than the server has room for: the one that is used up is said, not the narrowest.
TEST_F(ServerCheckTest, TheLimitThatIsUsedUpIsFoundBesideANarrowerOne) {
  Role("connection limit 3");
  Session session(Options("user=" + role_));
  ASSERT_TRUE(session.Script("select 1"));
  db_.Query("alter database " + db_.database() + " connection limit 4");
  std::vector<std::unique_ptr<Session>> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(std::make_unique<Session>(db_.Options()));
    ASSERT_TRUE(others.back()->Script("select 1"));
  }
  EXPECT_EQ(ReadConnectionLimit(session)->of, "role " + role_);
  const auto full = FindFullLimit(session);
  ASSERT_TRUE(full) << full.error().message;
  ASSERT_TRUE(full->has_value());
  EXPECT_EQ((*full)->of, "database " + db_.database());
}

TEST_F(ServerCheckTest, ReservedConnectionsAreForThoseWhoMayUseThem) {
  Role("");
  Session session(Options("user=" + role_));
  const auto few = ReadConnectionLimit(session);
  ASSERT_TRUE(few) << few.error().message;
  const std::string reserved =
      db_.Query("select coalesce(current_setting('reserved_connections', true), 'none')");
  const std::int64_t all = std::stoll(db_.Query("select current_setting('max_connections')"));
  const std::int64_t supers =
      std::stoll(db_.Query("select current_setting('superuser_reserved_connections')"));
  const std::int64_t kept = reserved == "none" ? 0 : std::stoll(reserved);
  EXPECT_EQ(few->most, all - supers - kept);
  if (reserved == "none") return;  // servers before 16
  db_.Query("grant pg_use_reserved_connections to " + role_);
  EXPECT_EQ(ReadConnectionLimit(session)->most, all - supers);
}

// A pooler before the test's database.
class PoolerTest : public ServerCheckTest {
 protected:
  void SetUp() override {
    for (const char* path : {"/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"}) {
      if (access(path, X_OK) == 0) program_ = path;
    }
    ASSERT_FALSE(program_.empty()) << "pgbouncer is not installed: ./dev setup test";
    std::string pattern = "/tmp/weir-pooler-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override {
    pooler_.reset();
    std::error_code ignored;
    if (!dir_.empty()) fs::remove_all(dir_, ignored);
    ServerCheckTest::TearDown();
  }

  // The first of several.
  std::string Setting(const std::string& name) {
    const std::string value = db_.Query("show " + name);
    return value.substr(0, value.find(','));
  }

  void StartPooler(const std::string& mode, const std::string& more = "") {
    const std::string folder = Setting("unix_socket_directories");
    const std::string host = folder.empty() ? "127.0.0.1" : folder;
    std::ofstream(dir_ + "/pooler.ini")
        << "[databases]\n* = host=" << host << " port=" << Setting("port")
        << " user=" << db_.Query("select user")
        << "\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = " << dir_
        << "\nauth_type = any\npool_mode = " << mode << "\n"
        << more;
    process::SpawnOptions spawn;
    spawn.argv = {program_, dir_ + "/pooler.ini"};
    if (geteuid() == 0) {
      // It refuses to run as root.
      const passwd* postgres = getpwnam("postgres");
      ASSERT_NE(postgres, nullptr);
      ASSERT_EQ(chown(dir_.c_str(), postgres->pw_uid, postgres->pw_gid), 0);
      fs::permissions(dir_ + "/pooler.ini", fs::perms(0644));
      spawn.argv.insert(spawn.argv.begin() + 1, {"-u", "postgres"});
    }
    auto started = process::Process::Spawn(spawn);
    ASSERT_TRUE(started) << started.error().message;
    pooler_ = std::move(*started);
    ASSERT_TRUE(pooler_->WaitForOutput(
        [](const std::string& out, const std::string& err) {
          return (out + err).find("process up") != std::string::npos;
        },
        milliseconds(10'000)))
        << pooler_->Err();
  }
  SessionOptions Through() const {
    SessionOptions options;
    options.url = "host=" + dir_ + " port=6432 dbname=" + db_.database() + " user=weir";
    return options;
  }

  std::string program_, dir_;
  std::unique_ptr<process::Process> pooler_;
};

TEST_F(PoolerTest, OneByTransactionIsRefused) {
  StartPooler("transaction");
  Session session(Through());
  const auto fit = CheckServer(session);
  ASSERT_FALSE(fit);
  EXPECT_EQ(fit.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(fit.error().message, HasSubstr("gives a connection to each transaction"));
  EXPECT_THAT(fit.error().hint, HasSubstr("session"));
}

TEST_F(PoolerTest, OneByTransactionIsRefusedWhateverConnectionsItHasAtHand) {
  StartPooler("transaction", "server_round_robin = 1\n");
  // Three backends in its pool, none in use.
  std::vector<std::unique_ptr<Session>> others;
  for (int i = 0; i < 3; ++i) others.push_back(std::make_unique<Session>(Through()));
  for (const auto& other : others) ASSERT_TRUE(other->Script("begin"));
  for (const auto& other : others) ASSERT_TRUE(other->Script("rollback"));
  Session session(Through());
  EXPECT_FALSE(CheckServer(session));
}

TEST_F(PoolerTest, OneByStatementIsRefused) {
  StartPooler("statement");
  Session session(Through());
  EXPECT_FALSE(CheckServer(session));
}

TEST_F(PoolerTest, OneBySessionIsFit) {
  StartPooler("session");
  Session session(Through());
  const auto fit = CheckServer(session);
  EXPECT_TRUE(fit) << fit.error().message;
}

}  // namespace
}  // namespace weir::pg
