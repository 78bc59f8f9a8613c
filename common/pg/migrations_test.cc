#include "common/pg/migrations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/postgres/test_postgres.h"

namespace weir::pg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using weir::testing::TestPostgres;

const Migration kFirst{1, "ledger",
                       "create schema weir; create table weir.a (x int); insert into weir.a values (1)",
                       "drop schema weir cascade"};
const Migration kSecond{2, "b's table", "create table weir.b (x int)", "drop table weir.b"};

class MigrationsTest : public ::testing::Test {
 protected:
  std::vector<std::string> States(const std::vector<Migration>& list) {
    std::vector<std::string> out;
    const auto all = Status(session_, list);
    EXPECT_TRUE(all) << all.error().message;
    for (const auto& s : *all) out.push_back(std::to_string(s.number) + " " + std::string(ToString(s.state)));
    return out;
  }
  std::string Tables() {
    return db_.Query(
        "select coalesce(string_agg(tablename, ',' order by tablename), '') from pg_tables "
        "where schemaname = 'weir'");
  }

  TestPostgres db_;
  Session session_{db_.Options()};
};

TEST_F(MigrationsTest, UpAndDownInOrder) {
  const std::vector<Migration> list{kSecond, kFirst};
  EXPECT_THAT(States(list), ElementsAre("1 pending", "2 pending"));
  const auto up = Up(session_, list);
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_THAT(*up, ElementsAre(1, 2));
  EXPECT_EQ(Tables(), "a,b");
  EXPECT_THAT(States(list), ElementsAre("1 applied", "2 applied"));
  EXPECT_EQ(Status(session_, list)->at(0).applied_at.size(), std::string("2026-01-01T00:00:00Z").size());
  EXPECT_TRUE(Check(session_, list));
  EXPECT_THAT(*Up(session_, list), IsEmpty());
  const auto one = Down(session_, list, 1);
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_THAT(*one, ElementsAre(2));
  EXPECT_EQ(Tables(), "a");
  EXPECT_THAT(*Down(session_, list, 0), ElementsAre(1));
  EXPECT_EQ(Tables(), "");
  EXPECT_THAT(States(list), ElementsAre("1 pending", "2 pending")) << "the record outlives schema weir";
  EXPECT_THAT(*Up(session_, list), ElementsAre(1, 2));
}

TEST_F(MigrationsTest, CheckTellsWhatToDo) {
  const auto fresh = Check(session_, {kFirst});
  ASSERT_FALSE(fresh);
  EXPECT_EQ(fresh.error().error_class, ErrorClass::kConfig);
  EXPECT_EQ(fresh.error().hint, "weir migrate up");
  ASSERT_TRUE(Up(session_, {kFirst, kSecond}));
  const auto newer = Check(session_, {kFirst});
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(newer.error().hint, HasSubstr("upgrade weir"));
  EXPECT_THAT(States({kFirst}), ElementsAre("1 applied", "2 unknown"));
  EXPECT_FALSE(Up(session_, {kFirst}));
  EXPECT_FALSE(Down(session_, {kFirst}, 0)) << "a newer weir's tables are not dropped by guess";
  EXPECT_EQ(Tables(), "a,b");
}

TEST_F(MigrationsTest, AChangedMigrationIsRefused) {
  ASSERT_TRUE(Up(session_, {kFirst}));
  Migration changed = kFirst;
  changed.up = "create schema weir";
  EXPECT_THAT(States({changed}), ElementsAre("1 changed"));
  const auto check = Check(session_, {changed});
  ASSERT_FALSE(check);
  EXPECT_THAT(check.error().message, HasSubstr("0001_ledger"));
  EXPECT_FALSE(Up(session_, {changed, kSecond}));
  EXPECT_EQ(Tables(), "a");
  Migration other_down = kFirst;
  other_down.down = "drop schema if exists weir cascade";
  EXPECT_TRUE(Check(session_, {other_down})) << "how it is undone changes nothing of what is there";
}

TEST_F(MigrationsTest, AFailedMigrationLeavesNothingOfItself) {
  const Migration bad{2, "bad", "create table weir.half (x int); insert into weir.a values ('x')", ""};
  const auto failed = Up(session_, {kFirst, bad});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(failed.error().message, HasSubstr("0002_bad"));
  EXPECT_EQ(Tables(), "a");
  EXPECT_FALSE(session_.InTransaction());
  EXPECT_THAT(States({kFirst, bad}), ElementsAre("1 applied", "2 pending"));
  const Migration ends{2, "ends", "commit", ""};
  EXPECT_EQ(Up(session_, {kFirst, ends}).error().error_class, ErrorClass::kInternal);
}

// An administrator may have made them, for a user who may make none.
TEST_F(MigrationsTest, SchemasThatAreThereAreUsed) {
  const std::string role = db_.database() + "_role";
  db_.Query("create role " + role + " login");
  for (const char* schema : {"weir", "weir_meta"})
    db_.Query("create schema " + std::string(schema) + " authorization " + role);
  session_.Script("set session authorization " + role);
  const auto up = Up(session_, {kFirst, kSecond});
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_EQ(Tables(), "a,b");
  EXPECT_TRUE(Check(session_, {kFirst, kSecond})) << "the migration is the same";
  session_.Reset();
  db_.Query("drop owned by " + role);
  db_.Query("drop role " + role);
}

TEST_F(MigrationsTest, SchemasThatCannotBeMadeAreSaid) {
  const std::string role = db_.database() + "_role";
  db_.Query("create role " + role + " login");
  db_.Query("create schema weir");
  session_.Script("set session authorization " + role);
  const auto missing = Up(session_, {kFirst});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(missing.error().message, HasSubstr("may not make the schemas weir_meta"));
  EXPECT_THAT(missing.error().hint, HasSubstr("create schema weir_meta authorization " + role));
  db_.Query("create schema weir_meta authorization " + role);
  const auto foreign = Up(session_, {kFirst});
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().message, HasSubstr("may not make tables in the schemas weir"));
  session_.Reset();
  db_.Query("drop owned by " + role);
  db_.Query("drop role " + role);
}

TEST_F(MigrationsTest, ConcurrentUpsApplyEachOnce) {
  const std::vector<Migration> list{kFirst, kSecond};
  std::vector<std::thread> threads;
  std::atomic<int> applied{0};
  std::atomic<int> failures{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Session session(db_.Options());
      const auto up = Up(session, list);
      if (up) {
        applied += static_cast<int>(up->size());
      } else {
        ++failures;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(applied, 2);
  EXPECT_EQ(db_.Query("select count(*) from weir.a"), "1");
}

}  // namespace
}  // namespace weir::pg
