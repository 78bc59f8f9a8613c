#include "common/ledger/move_account.h"

#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

class MoveAccountTest : public testing::LedgerFixture {
 protected:
  ClaimedTask Claim(const std::string& id) {
    ClaimOptions options;
    options.owner = "w";
    auto claim = ClaimTask(session_, TaskId{std::stoll(id)}, options);
    EXPECT_TRUE(claim && claim->task);
    return claim && claim->task ? *claim->task : ClaimedTask();
  }
  std::string Tasks(JobId job) {
    return Text(
        "select string_agg(account || ' ' || state || ' ' || meter || '#' || lane || coalesce(' ' || owner, "
        "''), "
        "', ' order by id) from weir.tasks where state <> 'done' and job_id = " +
        Id(job));
  }
};

TEST_F(MoveAccountTest, AnAccountsOpenTasksGoToTheNewMetersLanes) {
  const JobId job = Open(Request({"anna", "bob"}));
  Plan(job, "anna", 4);
  Run("update weir.tasks set lane = id % 4");
  const std::string first =
      Text("select min(id) from weir.tasks where account = 'anna' and state = 'planned'");
  Run("update weir.tasks set state = 'dispatched' where id = 1 + " + first);
  Run("update weir.tasks set state = 'parked', not_before = now() where id = 2 + " + first);
  const ClaimedTask task = Claim(first);
  ASSERT_EQ(*MoveAccount(session_, task, "crm:token", 2), true);
  EXPECT_EQ(Text("select count(*) from weir.tasks where meter = 'crm:token'"), "1")
      << "however many there are: the leader brings them in slices";
  ASSERT_TRUE(ReturnMisplaced(session_));
  EXPECT_EQ(
      Text("select count(*) from weir.tasks where account = 'anna' and state in ('planned', 'parked') and "
           "meter = 'crm:token' and lane < 2 and owner is null and epoch > 0"),
      "4");
  EXPECT_EQ(Text("select state from weir.tasks where id = 2 + " + first), "parked");
  EXPECT_EQ(Text("select count(*) from weir.tasks where account = 'bob' and meter = 'm'"), "1");
  EXPECT_EQ(Text("select string_agg(account || ' ' || meter || ' ' || lanes, ', ' order by account) from "
                 "weir.job_accounts"),
            "anna crm:token 2, bob m 1");
  EXPECT_EQ(Text("select count(*) from weir.lanes where meter = 'crm:token'"), "2");
  EXPECT_EQ(Text("select attempts + crashes from weir.tasks where id = " + first), "0");
  // The dispatcher finds them there.
  auto ready = TakeReady(session_, {});
  ASSERT_TRUE(ready);
  EXPECT_TRUE(std::any_of(ready->begin(), ready->end(),
                          [&](const ReadyTask& t) { return t.lane.meter == "crm:token"; }));
}

TEST_F(MoveAccountTest, OneThatRunsGoesOnAndAnOldEpochMovesNothing) {
  const JobId job = Open(Request({"anna"}));
  Plan(job, "anna", 2);
  const std::string first = Text("select min(id) from weir.tasks where state = 'planned'");
  const ClaimedTask mine = Claim(first);
  const ClaimedTask other = Claim(std::to_string(std::stoll(first) + 1));
  ASSERT_EQ(*MoveAccount(session_, mine, "n", 1), true);
  ASSERT_TRUE(ReturnMisplaced(session_));
  EXPECT_EQ(Text("select state || meter from weir.tasks where id = " + std::to_string(other.id.value)),
            "running" + other.lane.meter);
  EXPECT_TRUE(YieldTask(session_, other, {})) << "its claim stands";
  ASSERT_TRUE(ReturnMisplaced(session_));
  EXPECT_EQ(Tasks(job), "anna planned n#0, anna planned n#0");
  const auto late = MoveAccount(session_, mine, "o", 1);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().error_class, ErrorClass::kFenced);
  EXPECT_EQ(Text("select meter from weir.job_accounts"), "n");
}

// Workers of different configurations would hand it to each other for ever.
TEST_F(MoveAccountTest, AnAccountIsMovedThreeTimesAtMost) {
  const JobId job = Open(Request({"anna"}));
  const std::string id = Text("select min(id) from weir.tasks");
  for (const char* meter : {"n", "o", "n"}) EXPECT_EQ(*MoveAccount(session_, Claim(id), meter, 1), true);
  EXPECT_EQ(*MoveAccount(session_, Claim(id), "o", 1), false);
  EXPECT_EQ(Tasks(job), "anna running n#0 w");
}

// Its other tasks stand in the old lanes until the leader brings them, and workers may claim some before.
TEST_F(MoveAccountTest, TasksThatFollowAreNoFurtherMove) {
  const JobId job = Open(Request({"anna"}));
  Plan(job, "anna", 5);
  const std::int64_t first = std::stoll(Text("select min(id) from weir.tasks where state = 'planned'"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(*MoveAccount(session_, Claim(std::to_string(first + i)), "n", 1), true);
  }
  EXPECT_EQ(Text("select moves from weir.job_accounts"), "1");
  EXPECT_EQ(Text("select count(*) from weir.tasks where meter = 'n' and state = 'planned'"), "5");
}

}  // namespace
}  // namespace weir::ledger
