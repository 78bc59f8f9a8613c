#include "common/pg/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/postgres/test_postgres.h"

namespace weir::pg {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using weir::testing::TestPostgres;

class SessionTest : public ::testing::Test {
 protected:
  // A task row to fence with and a table to write to.
  void SetUp() override {
    db_.Query(
        "create table task (id int primary key, epoch int not null, position int not null default 0);"
        "insert into task values (7, 3);"
        "create table item (id text primary key, size bigint check (size >= 0), raw jsonb)");
  }
  static std::string Fenced(int epoch, const std::string& rest) {
    return "begin; update task set position = position + 1 where id = 7 and epoch = " +
           std::to_string(epoch) + "; " + rest + "commit";
  }
  static constexpr const char* kCopy = "copy item (id, size, raw) from stdin; ";
  std::string Position() { return db_.Query("select position from task"); }
  std::string Items() { return db_.Query("select count(*) from item"); }

  TestPostgres db_;
  Session session_{db_.Options()};
};

TEST_F(SessionTest, ExecTakesParametersAndNulls) {
  const auto rows = session_.Exec("select $1::text, $2::bigint, $3::text, $4::bool, $5::float8",
                                  {"it's \\ \"x\"", "-9223372036854775808", std::nullopt, "true", "2.5"});
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->Size(), 1);
  EXPECT_EQ(rows->Columns(), 5);
  EXPECT_EQ(rows->Text(0, 0), "it's \\ \"x\"");
  EXPECT_EQ(rows->Int(0, 1), INT64_MIN);
  EXPECT_TRUE(rows->IsNull(0, 2));
  EXPECT_EQ(rows->Text(0, 2), "");
  EXPECT_TRUE(rows->Bool(0, 3));
  EXPECT_EQ(rows->Double(0, 4), 2.5);
}

// A role's statement_timeout would end a long batch, whose page would then be asked for again each time.
TEST_F(SessionTest, TheWaitsAndTheIsolationAreItsOwnWhateverTheRoleSays) {
  const std::string role = db_.database() + "_set";
  db_.Query("create role " + role + " login");
  for (const char* setting :
       {"statement_timeout = '50ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '50ms'",
        "default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on",
        "idle_session_timeout = '50ms'"}) {
    db_.Query("alter role " + role + " set " + setting);
  }
  SessionOptions options = db_.Options();
  const bool is_url = options.url.find("://") != std::string::npos;
  options.url += is_url ? (options.url.find('?') == std::string::npos ? "?" : "&") : " ";
  options.url += "user=" + role;
  {
    Session session(options);
    for (const auto& [name, value] :
         std::vector<std::pair<std::string, std::string>>{{"statement_timeout", "0"},
                                                          {"lock_timeout", "0"},
                                                          {"idle_in_transaction_session_timeout", "0"},
                                                          {"default_transaction_isolation", "read committed"},
                                                          {"default_transaction_deferrable", "off"},
                                                          {"idle_session_timeout", "0"}}) {
      const auto rows = session.Exec("show " + name);
      ASSERT_TRUE(rows) << rows.error().message;
      EXPECT_EQ(rows->Text(0, 0), value) << name;
    }
    const auto who = session.Exec("select session_user");
    ASSERT_TRUE(who);
    EXPECT_EQ(who->Text(0, 0), role);
  }
  db_.Query("drop role " + role);
}

TEST_F(SessionTest, TheEncodingIsUtf8WhateverTheUrlOrTheRoleSays) {
  db_.Query("alter database " + db_.database() + " set client_encoding = 'LATIN1'");
  SessionOptions options = db_.Options();
  const bool is_uri = options.url.find("://") != std::string::npos;
  options.url += !is_uri ? " client_encoding=SJIS"
                         : (options.url.find('?') == std::string::npos ? "?" : "&") +
                               std::string("client_encoding=SJIS");
  Session session(options);
  const auto rows = session.Exec("show client_encoding");
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->Text(0, 0), "UTF8");
}

// Whoever alters a table changes what a prepared look-up answers: the session begins again, nothing is
// refused.
TEST_F(SessionTest, APreparedStatementThatATableOutgrewIsPreparedAgain) {
  const auto look = [&] { return session_.Exec("select * from item", {}, "look"); };
  ASSERT_TRUE(look());
  db_.Query("alter table item add column more int");
  const auto stale = look();
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().error_class, ErrorClass::kDatabase) << stale.error().message;
  session_.Reset();
  EXPECT_TRUE(look());
}

TEST_F(SessionTest, AnErrorSaysWhetherWaitingCuresIt) {
  db_.Query(
      "create function full_disk() returns void language plpgsql as $$begin raise exception using errcode = "
      "'53100', "
      "message = 'No space left on device'; end$$");
  EXPECT_EQ(session_.Script("select full_disk()").error().error_class, ErrorClass::kDatabase);
  EXPECT_EQ(session_.Script("select no_such_column from item").error().error_class, ErrorClass::kSchema);
  EXPECT_EQ(session_.Script("do $$begin raise exception 'no'; end$$").error().error_class,
            ErrorClass::kBadRecord);
  for (const char* outage :
       {"", "08006", "40P01", "53100", "53300", "55P03", "57014", "57P01", "58030", "25006", "26000"}) {
    EXPECT_TRUE(IsOutage(outage)) << outage;
    EXPECT_FALSE(IsRefusal(outage)) << outage;
  }
  for (const char* refusal : {"42703", "42501", "42P01", "0A000", "3F000"}) {
    EXPECT_TRUE(IsRefusal(refusal)) << refusal;
    EXPECT_FALSE(IsOutage(refusal)) << refusal;
  }
  for (const char* unknown : {"XX000", "XX001", "55000"}) {
    EXPECT_FALSE(IsRefusal(unknown) || IsOutage(unknown) || IsDataError(unknown)) << unknown;
  }
}

TEST_F(SessionTest, ArraysAndQuotesSurviveTheRoundTrip) {
  const std::vector<std::string> values{"", "NULL", "a,b", "q\"q", "b\\s", "{x}", "née"};
  const auto texts = session_.Exec("select * from unnest($1::text[])", {ArrayLiteral(values)});
  ASSERT_TRUE(texts) << texts.error().message;
  ASSERT_EQ(texts->Size(), static_cast<int>(values.size()));
  for (int i = 0; i < texts->Size(); ++i) {
    EXPECT_FALSE(texts->IsNull(i, 0));
    EXPECT_EQ(texts->Text(i, 0), values[static_cast<std::size_t>(i)]);
  }
  const auto sum = session_.Exec("select sum(x) from unnest($1::bigint[]) x",
                                 {ArrayLiteral(std::vector<std::int64_t>{1, -5})});
  ASSERT_TRUE(sum);
  EXPECT_EQ(sum->Int(0, 0), -4);
  for (const std::string text : {"it's", "back\\slash", "\\'; drop table item; --", ""}) {
    const auto quoted = session_.Script("select " + session_.Quote(text));
    ASSERT_TRUE(quoted) << quoted.error().message;
    EXPECT_EQ(quoted->Text(0, 0), text);
  }
}

TEST_F(SessionTest, AStatementWithANameIsPreparedOncePerConnection) {
  for (int i = 0; i < 3; ++i) {
    const auto rows = session_.Exec("select $1::int + 1", {std::to_string(i)}, "plus_one");
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(rows->Int(0, 0), i + 1);
  }
  const std::string count = "select count(*) from pg_prepared_statements where name = 'plus_one'";
  EXPECT_EQ(session_.Exec(count)->Int(0, 0), 1);
  session_.Reset();
  EXPECT_EQ(session_.Exec(count)->Int(0, 0), 0);
  EXPECT_TRUE(session_.Exec("select $1::int + 1", {"1"}, "plus_one"));
}

TEST_F(SessionTest, ErrorsCarryTheDecision) {
  struct Case {
    const char* sql;
    ErrorClass error_class;
    const char* sqlstate;
  };
  const Case cases[] = {
      {"select 'x'::int", ErrorClass::kBadRecord, "22P02"},
      {"select '{\"a\": \"\\u0000\"}'::jsonb", ErrorClass::kBadRecord, "22P05"},
      {"insert into task values (7, 4)", ErrorClass::kBadRecord, "23505"},
      {"insert into item values ('a', -1)", ErrorClass::kBadRecord, "23514"},
      {"select repeat('[', 100000)::jsonb", ErrorClass::kBadRecord, "54001"},
      {"select * from nowhere", ErrorClass::kSchema, "42P01"},
      {"set lock_timeout = 'x'", ErrorClass::kBadRecord, "22023"},
      {"do $$ begin raise sqlstate '40001'; end $$", ErrorClass::kDatabase, "40001"},
      {"do $$ begin raise sqlstate '53100'; end $$", ErrorClass::kDatabase, "53100"},
  };
  for (const Case& c : cases) {
    const auto failed = session_.Exec(c.sql);
    ASSERT_FALSE(failed) << c.sql;
    EXPECT_EQ(failed.error().error_class, c.error_class) << c.sql << ": " << failed.error().message;
    EXPECT_EQ(failed.error().sqlstate, c.sqlstate) << c.sql;
    EXPECT_TRUE(session_.Exec("select 1")) << "the session is usable after " << c.sql;
  }
}

TEST_F(SessionTest, AnErrorNeverQuotesTheRow) {
  const auto failed = session_.Exec("insert into item values ('secret-id', -1, '{\"k\": \"secret-body\"}')");
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, Not(HasSubstr("secret")));
}

TEST_F(SessionTest, ANulIsDataAndNeverCutsAValueShort) {
  const std::string nul("a\0b", 3);
  for (const auto& result :
       {session_.Exec("select $1::text", {nul}), session_.Script("select '" + nul + "'")}) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().error_class, ErrorClass::kBadRecord);
    EXPECT_EQ(result.error().sqlstate, "22021");
  }
  // In rows the server finds it.
  auto copied = session_.SubmitFenced(Fenced(3, kCopy), nul + "\t1\t{}\n");
  if (copied) copied = session_.Await();
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().error_class, ErrorClass::kBadRecord);
  EXPECT_EQ(Position(), "0");
}

TEST_F(SessionTest, AScriptThatFailsIsRolledBack) {
  const auto failed = session_.Script("begin; insert into item values ('a', 1); select 1/0; commit");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().sqlstate, "22012");
  EXPECT_FALSE(session_.InTransaction());
  EXPECT_EQ(Items(), "0");
  const auto last = session_.Script("insert into item values ('a', 1); select 'first'; select 'last'");
  ASSERT_TRUE(last);
  EXPECT_EQ(last->Text(0, 0), "last");
}

TEST_F(SessionTest, FenceAndCopyCommitTogether) {
  std::string data;
  // More than sockets buffer, so that sending waits for the server and goes on.
  const std::string filler(1000, 'x');
  for (int i = 0; i < 3000; ++i)
    data += std::to_string(i) + "\t" + std::to_string(i) + "\t{\"f\":\"" + filler + "\"}\n";
  const auto submitted = session_.SubmitFenced(Fenced(3, kCopy), data);
  ASSERT_TRUE(submitted) << submitted.error().message;
  EXPECT_TRUE(session_.Pending());
  EXPECT_EQ(session_.Exec("select 1").error().error_class, ErrorClass::kInternal);
  const auto done = session_.Await();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_FALSE(session_.Pending());
  EXPECT_EQ(Items(), "3000");
  EXPECT_EQ(Position(), "1");
}

TEST_F(SessionTest, RowsOfACopyMayComePieceByPiece) {
  const auto submitted =
      session_.SubmitFenced(Fenced(3, kCopy), [](const Session::CopyPut& put) -> Result<void> {
        for (const char* piece : {"a\t1", "\t{}\nb\t", "", "2\t{}\n"}) {
          if (auto ok = put(piece); !ok) return ok;
        }
        return {};
      });
  ASSERT_TRUE(submitted) << submitted.error().message;
  ASSERT_TRUE(session_.Await());
  EXPECT_EQ(Items(), "2");
  EXPECT_EQ(Position(), "1");
}

TEST_F(SessionTest, ACopyThatItsCallerBreaksOffIsRolledBack) {
  const auto broken =
      session_.SubmitFenced(Fenced(3, kCopy), [](const Session::CopyPut& put) -> Result<void> {
        if (auto ok = put("a\t1\t{}\n"); !ok) return ok;
        return Fail(ErrorClass::kInvalid, "enough");
      });
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().error_class, ErrorClass::kInvalid);
  EXPECT_FALSE(session_.Pending());
  EXPECT_FALSE(session_.InTransaction());
  EXPECT_EQ(Items(), "0");
  EXPECT_EQ(Position(), "0");
  EXPECT_TRUE(session_.Exec("select 1"));
}

TEST_F(SessionTest, BehindAFenceWithoutARowNoRowsAreAskedFor) {
  bool asked = false;
  const auto submitted =
      session_.SubmitFenced(Fenced(2, kCopy), [&](const Session::CopyPut&) -> Result<void> {
        asked = true;
        return {};
      });
  ASSERT_FALSE(submitted);
  EXPECT_EQ(submitted.error().error_class, ErrorClass::kFenced);
  EXPECT_FALSE(asked);
}

TEST_F(SessionTest, AFenceWithoutARowWritesNothing) {
  const auto submitted = session_.SubmitFenced(
      Fenced(2, std::string("insert into item values ('b', 1); ") + kCopy), "a\t1\t{}\n");
  ASSERT_FALSE(submitted);
  EXPECT_EQ(submitted.error().error_class, ErrorClass::kFenced);
  EXPECT_FALSE(session_.Pending());
  EXPECT_FALSE(session_.InTransaction());
  EXPECT_EQ(Items(), "0");
  EXPECT_EQ(Position(), "0");
  ASSERT_TRUE(session_.SubmitFenced(Fenced(3, kCopy), "a\t1\t{}\n"));
  ASSERT_TRUE(session_.Await());
  EXPECT_EQ(Items(), "1");
}

TEST_F(SessionTest, AFenceWithoutCopyIsToldByAwait) {
  const std::string guarded =
      "insert into item select 'a', 1 where exists (select 1 from task where id = 7 and epoch = 2); ";
  ASSERT_TRUE(session_.SubmitFenced(Fenced(2, guarded), ""));
  const auto fenced = session_.Await();
  ASSERT_FALSE(fenced);
  EXPECT_EQ(fenced.error().error_class, ErrorClass::kFenced);
  EXPECT_EQ(Items(), "0");
  ASSERT_TRUE(session_.SubmitFenced(Fenced(3, ""), ""));
  ASSERT_TRUE(session_.Await());
  EXPECT_EQ(Position(), "1");
  // A COPY without rows is none, and ends by itself.
  ASSERT_TRUE(session_.SubmitFenced(Fenced(3, kCopy), ""));
  ASSERT_TRUE(session_.Await());
  EXPECT_EQ(Position(), "2");
}

TEST_F(SessionTest, BadDataInACopyRollsBackAndLeavesTheSessionUsable) {
  std::string data = "a\tnot-a-number\t{}\n";
  for (int i = 0; i < 20000; ++i)
    data += std::to_string(i) + "\t1\t{\"filler\":\"0123456789012345678901234\"}\n";
  ASSERT_TRUE(session_.SubmitFenced(Fenced(3, kCopy), data));
  const auto failed = session_.Await();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kBadRecord);
  EXPECT_EQ(failed.error().sqlstate, "22P02");
  EXPECT_FALSE(session_.InTransaction());
  EXPECT_EQ(Position(), "0");
  ASSERT_TRUE(session_.SubmitFenced(Fenced(3, kCopy), "a\t1\t{}\n"));
  ASSERT_TRUE(session_.Await());
  EXPECT_EQ(Items(), "1");
}

TEST_F(SessionTest, AUniqueViolationAtCommitOrInCopyIsData) {
  db_.Query("insert into item values ('a', 1)");
  ASSERT_TRUE(session_.SubmitFenced(Fenced(3, kCopy), "a\t1\t{}\n"));
  EXPECT_EQ(session_.Await().error().sqlstate, "23505");
  db_.Query(
      "create table late (id int, unique (id) deferrable initially deferred); insert into late values (1)");
  ASSERT_TRUE(session_.SubmitFenced(Fenced(3, "copy late from stdin; "), "1\n"));
  EXPECT_EQ(session_.Await().error().sqlstate, "23505");
  EXPECT_EQ(Position(), "0");
}

TEST_F(SessionTest, ABatchWithoutCommitOrFenceIsADefect) {
  ASSERT_TRUE(session_.SubmitFenced("begin; update task set position = 9", ""));
  EXPECT_EQ(session_.Await().error().error_class, ErrorClass::kInternal);
  EXPECT_FALSE(session_.InTransaction());
  EXPECT_EQ(Position(), "0");
  EXPECT_EQ(session_.SubmitFenced(Fenced(3, ""), "a\t1\t{}\n").error().error_class, ErrorClass::kInternal);
  EXPECT_EQ(session_.Await().error().error_class, ErrorClass::kInternal);
}

TEST_F(SessionTest, ALostBackendIsToldAndNeverReplacedSilently) {
  ASSERT_TRUE(session_.Script("begin; insert into item values ('a', 1)"));
  const int pid = session_.BackendPid();
  ASSERT_NE(pid, 0);
  EXPECT_EQ(db_.Query("select pg_terminate_backend(" + std::to_string(pid) + ", 10000)"), "t");
  const auto lost = session_.Exec("select 1");
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().error_class, ErrorClass::kDatabase);
  EXPECT_EQ(lost.error().sqlstate, "57P01") << lost.error().message;
  EXPECT_FALSE(session_.Connected());
  for (int i = 0; i < 2; ++i) {
    const auto again = session_.Exec("select 1");
    ASSERT_FALSE(again) << "a new connection would have lost the transaction";
    EXPECT_EQ(again.error().error_class, ErrorClass::kDatabase);
  }
  session_.Reset();
  ASSERT_TRUE(session_.Exec("select 1"));
  EXPECT_NE(session_.BackendPid(), pid);
  EXPECT_EQ(Items(), "0");
}

TEST_F(SessionTest, ABackendLostBetweenSubmitAndAwaitIsADatabaseError) {
  Session blocker(db_.Options());
  ASSERT_TRUE(blocker.Script("begin; insert into item values ('a', 1)"));
  ASSERT_TRUE(session_.SubmitFenced(Fenced(3, kCopy), "a\t1\t{}\n"));
  // Its COPY waits for the blocker's row.
  EXPECT_EQ(db_.Query("select pg_terminate_backend(" + std::to_string(session_.BackendPid()) + ", 10000)"),
            "t");
  const auto lost = session_.Await();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().error_class, ErrorClass::kDatabase) << lost.error().message;
  EXPECT_FALSE(session_.Connected());
  ASSERT_TRUE(blocker.Script("rollback"));
  EXPECT_EQ(Items(), "0");
  EXPECT_EQ(Position(), "0");
}

TEST_F(SessionTest, ABackendLostInsideItsCopyIsADatabaseError) {
  // The table's trigger ends the backend at the first row: the rest of the rows meets nobody.
  db_.Query(
      "create function die() returns trigger language plpgsql as "
      "$$ begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60); return new; end $$;"
      "create trigger die before insert on item for each row execute function die()");
  std::string data;
  for (int i = 0; i < 200000; ++i)
    data += std::to_string(i) + "\t1\t{\"filler\":\"0123456789012345678901234\"}\n";
  Result<void> result = session_.SubmitFenced(Fenced(3, kCopy), data);
  if (result) result = session_.Await();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error_class, ErrorClass::kDatabase) << result.error().message;
  EXPECT_FALSE(session_.Connected());
}

TEST_F(SessionTest, NoAnswerWithinTheDeadlineGivesTheConnectionUp) {
  auto options = db_.Options();
  options.statement_deadline = milliseconds(100);
  Session session(options);
  const auto late = session.Exec("select pg_sleep(60)");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(late.error().message, HasSubstr("100 ms"));
  EXPECT_FALSE(session.Connected());
  EXPECT_FALSE(session.Exec("select 1"));
}

TEST_F(SessionTest, InterruptWakesAWaitFromAnotherThreadAndSticks) {
  const int pid = [&] {
    EXPECT_TRUE(session_.Connect());
    return session_.BackendPid();
  }();
  std::thread other([&] {
    // Once it is seen asleep, it is waiting.
    while (db_.Query("select count(*) from pg_stat_activity where wait_event = 'PgSleep' and pid = " +
                     std::to_string(pid)) != "1") {
    }
    session_.Interrupt();
  });
  const auto stopped = session_.Exec("select pg_sleep(60)");
  other.join();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().error_class, ErrorClass::kStopped);
  EXPECT_EQ(session_.Exec("select 1").error().error_class, ErrorClass::kStopped);
  EXPECT_EQ(session_.Connect().error().error_class, ErrorClass::kStopped);
  session_.Reset();
  EXPECT_TRUE(session_.Exec("select 1"));
}

TEST_F(SessionTest, NotifyWakesWaitNotify) {
  ASSERT_TRUE(session_.Exec("listen jobs"));
  const auto none = session_.WaitNotify(milliseconds(0));
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  std::thread other([&] { db_.Query("notify jobs, 'x'"); });
  const auto came = session_.WaitNotify(milliseconds(20'000));
  other.join();
  ASSERT_TRUE(came);
  EXPECT_TRUE(*came);
  // One that comes with a statement's answer is not lost.
  ASSERT_TRUE(session_.Script("notify jobs; select 1"));
  EXPECT_TRUE(*session_.WaitNotify(milliseconds(20'000)));
  EXPECT_FALSE(*session_.WaitNotify(milliseconds(0)));
}

TEST_F(SessionTest, ConnectErrorsHaveAClassAndNoPassword) {
  const auto fails = [](const std::string& url) {
    SessionOptions options;
    options.url = url;
    options.connect_timeout = milliseconds(2'000);
    Session session(options);
    const auto r = session.Connect();
    EXPECT_FALSE(r) << url;
    EXPECT_THAT(r.error().message, Not(HasSubstr("hunter2")));
    EXPECT_THAT(r.error().hint, Not(HasSubstr("hunter2")));
    return r.error();
  };
  EXPECT_EQ(fails("postgresql://u:hunter2@127.0.0.1:1/db").error_class, ErrorClass::kDatabase);
  EXPECT_EQ(fails("postgresql://u:hunter2@%zz/db").error_class, ErrorClass::kConfig);
  EXPECT_EQ(fails("hunter2").error_class, ErrorClass::kConfig);
  EXPECT_EQ(fails("").error_class, ErrorClass::kConfig);
  const Error missing =
      fails(db_.url() + (db_.url().find("://") == std::string::npos ? " dbname=no_such_db password=hunter2"
                                                                    : "&dbname=no_such_db"));
  EXPECT_EQ(missing.error_class, ErrorClass::kConfig) << missing.message;
  EXPECT_EQ(missing.sqlstate, "3D000");
  EXPECT_THAT(missing.message, HasSubstr("no_such_db"));
  EXPECT_EQ(DescribeUrl("postgresql://u:hunter2@db.example:5433/weir?sslmode=require"),
            "db.example:5433/weir as u");
}

TEST_F(SessionTest, AServerThatNeverAnswersIsGivenUpAtTheConnectTimeout) {
  // A listening socket that nobody accepts from.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  SessionOptions options;
  options.url = "postgresql://u@127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/db?sslmode=disable";
  options.connect_timeout = milliseconds(100);
  Session session(options);
  const auto r = session.Connect();
  close(fd);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(r.error().message, HasSubstr("100 ms"));
}

}  // namespace
}  // namespace weir::pg
