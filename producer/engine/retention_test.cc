#include "producer/engine/retention.h"

#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RetentionPassTest : public ledger::testing::LedgerFixture {
 protected:
  JobId Ended(const std::string& account, int tasks, int days) {
    const JobId id = Open(Request({account}));
    Plan(id, account, tasks);
    Run("update weir.tasks set state = 'done' where job_id = " + Id(id));
    EXPECT_TRUE(ledger::EndJobs(session_));
    Run("update weir.jobs set finished_at = finished_at - interval '" + std::to_string(days) +
        " days' where id = " + Id(id));
    return id;
  }
  std::string Count(const std::string& what) { return Text("select count(*) from weir." + what); }

  ManualClock clock_;
};

TEST_F(RetentionPassTest, OnePassDeletesAllThatIsOldEnough) {
  Ended("old", 2'500, 91);
  Ended("older than a week", 2'500, 8);
  Ended("young", 3, 6);
  Run("insert into weir.garbage (topic, partition, kafka_offset, reason, body_start, created_at) "
      "values ('t', 0, 1, 'r', '', now() - interval '91 days')");
  Run("insert into weir.workers (id, host, pid, seen_at) values ('a', 'h', 1, now() - interval '2 days')");
  Run("insert into weir.lanes (meter, lane, updated_at) values ('x', 0, now() - interval '91 days')");
  Retention retention(session_, clock_, {});
  EXPECT_FALSE(retention.RunOnce().value()) << "a clock that stands still cuts no slice off";
  EXPECT_EQ(Count("jobs"), "2");
  EXPECT_EQ(Count("tasks"), "4");
  const RetentionCounts counts = retention.Counts();
  EXPECT_EQ(counts.tasks, 5'002);
  EXPECT_EQ(counts.jobs, 1);
  EXPECT_EQ(counts.garbage, 1);
  EXPECT_EQ(counts.workers, 1);
  EXPECT_EQ(counts.lanes, 1);
}

TEST_F(RetentionPassTest, APassBeginsOnceAMinute) {
  Retention retention(session_, clock_, {});
  EXPECT_FALSE(retention.RunOnce().value());
  Ended("alice", 1, 8);
  clock_.Advance(seconds(59));
  EXPECT_FALSE(retention.RunOnce().value());
  EXPECT_EQ(Count("tasks"), "2");
  clock_.Advance(seconds(1));
  EXPECT_FALSE(retention.RunOnce().value());
  EXPECT_EQ(Count("tasks"), "0");
}

TEST_F(RetentionPassTest, ZeroKeepsForEver) {
  Ended("alice", 1, 9'000);
  Run("insert into weir.garbage (topic, partition, kafka_offset, reason, body_start, created_at) "
      "values ('t', 0, 1, 'r', '', now() - interval '9000 days')");
  Retention retention(session_, clock_, {milliseconds(0), milliseconds(0), milliseconds(0)});
  EXPECT_FALSE(retention.RunOnce().value());
  EXPECT_EQ(Count("tasks"), "2");
  EXPECT_EQ(Count("jobs"), "1");
  EXPECT_EQ(Count("garbage"), "1");
}

TEST_F(RetentionPassTest, AJobThatSomebodyHoldsHoldsUpNoOther) {
  const JobId held = Ended("alice", 1, 9);
  Ended("bob", 1, 8);
  pg::Session other(options_);
  ASSERT_TRUE(other.Script("begin; select from weir.jobs where id = " + Id(held) + " for update"));
  Retention retention(session_, clock_, {});
  EXPECT_FALSE(retention.RunOnce().value());
  EXPECT_EQ(Text("select string_agg(distinct account, ',') from weir.tasks"), "alice");
  ASSERT_TRUE(other.Script("rollback"));
  clock_.Advance(seconds(60));
  EXPECT_FALSE(retention.RunOnce().value());
  EXPECT_EQ(Count("tasks"), "0");
}

TEST_F(RetentionPassTest, AfterATroubleThePassBeginsAgain) {
  Ended("alice", 1, 8);
  Run("alter table weir.gone_tasks rename to elsewhere");
  Retention retention(session_, clock_, {});
  EXPECT_FALSE(retention.RunOnce());
  EXPECT_EQ(Count("tasks"), "2");
  Run("alter table weir.elsewhere rename to gone_tasks");
  EXPECT_FALSE(retention.RunOnce().value()) << "at once, not in a minute";
  EXPECT_EQ(Count("tasks"), "0");
}

}  // namespace
}  // namespace weir
