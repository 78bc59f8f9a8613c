// A worker that is stopped inside its COPY, and then goes on.
#include <fmt/core.h>
#include <signal.h>

#include "tests/faults/stop_pool.h"

namespace weir::faults {
namespace {

// It holds the row of its task in an open transaction, and its server waits for its rows: whoever gets the
// lane ends that, and is not held up.
TEST_F(ApacheKafkaStop, InsideACopy) {
  Feed(1'000);
  victim_net_->StopAt({.what = "d begin; execute weir_fence", .nth = 10});
  Member& zombie = StartWorker(true);
  ASSERT_TRUE(victim_net_->WaitForStop(kPatience)) << zombie.process->Err();
  ASSERT_TRUE(zombie.process->Signal(SIGSTOP));
  const std::string held = Text(
      "select t.id from weir.tasks t join pg_locks l on l.locktype = 'transactionid' and l.granted and "
      "l.transactionid = t.xmax where t.state = 'running' and t.owner = '" +
      zombie.id + "'");
  ASSERT_NE(held, "") << "no row is locked";
  const auto begin = Steady::now();
  StartWorkers(2);
  EXPECT_TRUE(Await("state = 'done' from weir.tasks where id = " + held, Millis(30'000)));
  const auto took = std::chrono::duration_cast<Millis>(Steady::now() - begin);
  fmt::print("the next owner was done after {} ms\n", took.count());
  // The zombie's session, 4 s, in which its lease (2 s and a margin of 1 s) ends, too; the lock's time-out, 2
  // s; the rest is for a start, a rebalance and a page.
  EXPECT_LT(took, Millis(12'000));
  const std::int64_t fetched = Number("select fetched from weir.tasks where id = " + held);
  victim_net_->Thaw();
  ASSERT_TRUE(zombie.process->Signal(SIGCONT));
  Feed(1'000);
  ASSERT_TRUE(AwaitEnded());
  EXPECT_EQ(Number("select fetched from weir.tasks where id = " + held), fetched);
  ExpectWhole();
}

}  // namespace
}  // namespace weir::faults
