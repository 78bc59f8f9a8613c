#include <gtest/gtest.h>

#include <thread>

#include "common/pg/session.h"
#include "tests/support/postgres/test_postgres.h"

namespace weir::pg {
namespace {

using weir::testing::TestPostgres;

TEST(SessionPoolTest, AWaiterGetsTheSessionThatIsGivenBack) {
  TestPostgres db;
  SessionPool pool(db.Options(), 1);
  int first_pid = 0;
  std::thread waiter;
  Result<int> second_pid = 0;
  {
    auto lease = pool.Acquire();
    ASSERT_TRUE(lease);
    ASSERT_TRUE((*lease)->Connect());
    first_pid = (*lease)->BackendPid();
    waiter = std::thread([&] {
      auto again = pool.Acquire();
      second_pid = again ? (*again)->BackendPid() : 0;
    });
  }
  waiter.join();
  EXPECT_EQ(*second_pid, first_pid);
}

TEST(SessionPoolTest, AFailedOrUnfinishedSessionComesBackReset) {
  TestPostgres db;
  db.Query("create table t (x int)");
  SessionPool pool(db.Options(), 1);
  {
    auto lease = pool.Acquire();
    ASSERT_TRUE((*lease)->Script("begin; insert into t values (1)"));
  }
  {
    auto lease = pool.Acquire();
    EXPECT_FALSE((*lease)->InTransaction());
    EXPECT_EQ((*lease)->Exec("select count(*) from t")->Int(0, 0), 0);
    (void)(*lease)->Exec("select pg_terminate_backend(pg_backend_pid())");
    EXPECT_FALSE((*lease)->Connected());
  }
  {
    auto lease = pool.Acquire();
    ASSERT_TRUE((*lease)->Exec("select 1"));
    ASSERT_TRUE((*lease)->SubmitFenced("begin; insert into t values (1); commit", ""));
  }
  auto lease = pool.Acquire();
  EXPECT_FALSE((*lease)->Pending());
  EXPECT_TRUE((*lease)->Exec("select 1"));
}

TEST(SessionPoolTest, StopWakesWaitersAndInterruptWakesHolders) {
  TestPostgres db;
  SessionPool pool(db.Options(), 1);
  auto lease = pool.Acquire();
  ASSERT_TRUE((*lease)->Connect());
  Result<void> waited;
  std::thread waiter([&] {
    auto none = pool.Acquire();
    if (!none) waited = Fail(none.error());
  });
  pool.Stop();
  waiter.join();
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().error_class, ErrorClass::kStopped);
  EXPECT_TRUE((*lease)->Exec("select 1")) << "a drain lets holders finish";
  std::thread killer([&] { pool.Interrupt(); });
  const auto stopped = (*lease)->Exec("select pg_sleep(60)");
  killer.join();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().error_class, ErrorClass::kStopped);
}

}  // namespace
}  // namespace weir::pg
