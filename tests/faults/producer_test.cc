// `weir serve` killed at each step of sending tasks; another takes over, and every page is sent, and made
// once.
#include <fmt/core.h>

#include "tests/faults/fault_fixture.h"

namespace weir::faults {
namespace {

class ApacheKafkaProducer : public FaultTest {
 protected:
  std::string PageSet() const {
    return Text(
        "select string_agg(account || ' ' || kind || ' ' || lo || ' ' || hi || ' ' || key, ';' order by "
        "account, "
        "kind, lo, key) from weir.tasks where kind <> 0");
  }
};

TEST_F(ApacheKafkaProducer, KilledWhileItSends) {
  struct Step {
    const char* name;
    bool database;
    StopPoint at;
  };
  Make({"chesscom", "hikaru", 2'000});
  Make({"lichess", "alice", 4'000});
  StartWorkers(2);
  Enqueue("chesscom", {"hikaru"});
  Enqueue("lichess", {"alice"});
  Control("settings", {{"latency_ms", 50}});
  std::string pages;
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
  // Two that take over from each other.
  StartProducer();
  const auto begin = Steady::now();
  ASSERT_TRUE(Await("bool_and(planned) from weir.job_accounts"));
  pages = PageSet();
  auto other = StartVictimServe();
  ASSERT_TRUE(other->WaitForErr("serving", kPatience));
  producer_->Kill();
  ASSERT_TRUE(producer_->Wait(kPatience));
  EXPECT_TRUE(other->WaitForErr("this process dispatches", Millis(15'000))) << other->Err();
  producer_ = std::move(other);
  Control("settings", {{"latency_ms", 0}});
  ASSERT_TRUE(AwaitEnded());
  fmt::print("all was read {} s after the last kill\n",
             std::chrono::duration_cast<std::chrono::seconds>(Steady::now() - begin).count());
  EXPECT_EQ(PageSet(), pages);
  EXPECT_EQ(Number("select count(*) - count(distinct (account, kind, lo, hi, key)) from weir.tasks"), 0);
  ExpectWhole();
  ExpectNothingReadTwice();
}

}  // namespace
}  // namespace weir::faults
