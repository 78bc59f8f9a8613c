#include "worker/claim_watch.h"

#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::worker {
namespace {

using ClaimWatchTest = ledger::testing::LedgerFixture;

TEST_F(ClaimWatchTest, AClaimIsLostWhenItsJobIsCancelledAndNotBefore) {
  const JobId first = Open(Request({"alice"})), second = Open(Request({"bob"}));
  Run("update weir.tasks set state = 'running', epoch = 3, owner = 'w'");
  const auto task = [this](JobId job) {
    return TaskId{std::stoll(Text("select id from weir.tasks where job_id = " + Id(job)))};
  };
  ClaimWatch watch;
  ASSERT_TRUE(watch.RunOnce(session_));
  watch.Add(task(first), Epoch{3});
  watch.Add(task(second), Epoch{3});
  ASSERT_TRUE(watch.RunOnce(session_));
  EXPECT_FALSE(watch.Lost(task(first)));
  ASSERT_TRUE(ledger::CancelJob(session_, first));
  EXPECT_FALSE(watch.Lost(task(first)));
  ASSERT_TRUE(watch.RunOnce(session_));
  EXPECT_TRUE(watch.Lost(task(first)));
  EXPECT_FALSE(watch.Lost(task(second)));
  watch.Remove(task(first));
  EXPECT_FALSE(watch.Lost(task(first)));
  // A claim that was made after the look is not judged by it.
  watch.Add(task(first), Epoch{9});
  ASSERT_TRUE(watch.RunOnce(session_));
  EXPECT_FALSE(watch.Lost(task(first)));
}

}  // namespace
}  // namespace weir::worker
