// `weir serve` killed while plans are written and at each step of sending tasks; another takes over, and
// every page is made once, as without kills, and sent.
#include <fmt/format.h>
#include <signal.h>

#include <vector>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {
namespace {

using Ids = std::vector<std::int64_t>;

class ApacheKafkaProducer : public FaultTest {
 protected:
  // The leader ends, then the worker, while the latter writes an account's plan: nothing of it is there.
  void KillBothWhileTheyPlan() {
    StartProducer();
    victim_net_->StopAt({.what = "copy weir.tasks"});
    Member& planner = StartWorker(true);
    ASSERT_TRUE(victim_net_->WaitForStop(kPatience)) << planner.process->Err();
    EXPECT_GT(Number("select count(*) from weir.tasks where kind = 0 and state = 'running'"), 0);
    producer_->Kill();
    ASSERT_TRUE(producer_->Wait(kPatience));
    Kill(planner);
    Forget(planner);
    EXPECT_GT(Number("select count(*) from weir.job_accounts where not planned"), 0);
    EXPECT_EQ(
        Number("select count(*) from weir.tasks t join weir.job_accounts a using (job_id, account) where "
               "t.kind <> 0 and not a.planned"),
        0);
  }
  void KillAtEachStep() {
    struct Step {
      const char* name;
      bool database;
      StopPoint at;
    };
    for (const Step& step : {
             Step{"before it leads", true, {.what = "pg_try_advisory_lock"}},
             Step{"before it sends", false, {.what = "api 0 "}},
             Step{"sent, and not yet answered", false, {.what = "api 0 ", .reply = true}},
             Step{"sent, and not yet marked", true, {.what = "mark_dispatched", .nth = 2}},
             Step{"marked, and unheard", true, {.what = "mark_dispatched", .reply = true, .nth = 2}},
         }) {
      SCOPED_TRACE(step.name);
      auto& proxy = step.database ? *victim_net_ : kafka_->Proxy("VICTIM");
      proxy.StopAt(step.at);
      const auto serve = StartVictimServe();
      ASSERT_TRUE(proxy.WaitForStop(kPatience)) << "never reached: " << serve->Err();
      KillServe(*serve);
    }
  }
  // Two that take over from each other.
  void KillTheLeader() {
    StartProducer();
    auto other = StartVictimServe();
    ASSERT_TRUE(other->WaitForErr("serving", kPatience));
    producer_->Kill();
    ASSERT_TRUE(producer_->Wait(kPatience));
    EXPECT_TRUE(other->WaitForErr("this process dispatches", Millis(15'000))) << other->Err();
    producer_ = std::move(other);
  }
  // But for windows without a game that were read already, and are asked for once more.
  std::string PageSet(const Ids& jobs) const {
    return Text(fmt::format(
        "select string_agg(concat_ws(' ', account, kind, lo, hi, key), '; ' order by account, kind, lo, hi, "
        "key) from weir.tasks where kind <> 0 and key <> 'again' and job_id in ({})",
        fmt::join(jobs, ", ")));
  }
  // The same syncs once more, with the same "now", and nobody harms them.
  Ids PlanAgainUndisturbed(const Ids& jobs) {
    producer_->Signal(SIGTERM);
    EXPECT_TRUE(producer_->Wait(kPatience));
    const Ids again = EnqueueBoth();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      Text(fmt::format(
          "update weir.jobs set now_ms = (select now_ms from weir.jobs where id = {}) where id = {}", jobs[i],
          again[i]));
    }
    StartProducer();
    EXPECT_TRUE(Await("bool_and(planned) from weir.job_accounts"));
    return again;
  }
  Ids EnqueueBoth() {
    return {Enqueue("chesscom", {"hikaru"}, {"--mode", "full"}),
            Enqueue("lichess", {"alice"}, {"--mode", "full"})};
  }
};

TEST_F(ApacheKafkaProducer, KilledWhileItPlansAndSends) {
  Make({"chesscom", "hikaru", 2'000});
  Make({"lichess", "alice", 4'000});
  const Ids jobs = EnqueueBoth();
  Control("settings", {{"latency_ms", 50}});
  KillBothWhileTheyPlan();
  StartWorkers(2);
  KillAtEachStep();
  const auto begin = Steady::now();
  KillTheLeader();
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  fmt::print("all was read {} s after the last kill\n",
             std::chrono::duration_cast<std::chrono::seconds>(Steady::now() - begin).count());
  ExpectWhole();
  ExpectNothingReadTwice();
  const std::string pages = PageSet(jobs);
  EXPECT_NE(pages, "");
  EXPECT_EQ(pages, PageSet(PlanAgainUndisturbed(jobs)));
}

}  // namespace
}  // namespace weir::faults
