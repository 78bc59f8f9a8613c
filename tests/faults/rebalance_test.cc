// A worker killed at the named moments of a rebalance and of its leaving.
#include <signal.h>

#include "tests/faults/named_points.h"

namespace weir::faults {
namespace {

// A worker that must give its partitions back, and one that leaves in order.
TEST_F(ApacheKafkaNamedPoints, OfARebalance) {
  const auto joined = [](Member& victim) {
    EXPECT_TRUE(victim.process->WaitForErr("partitions assigned", kPatience)) << victim.process->Err();
  };
  Point revoke{"at revoke, before it joins again", Wire::kKafka, {.what = "api 11 "}};
  const StopPoint at = revoke.at;
  revoke.at = {.what = "never"};
  for (const bool reply : {false, true}) {
    Reach(revoke, [&](Member& victim) {
      joined(victim);
      StopPoint again = at;
      again.reply = reply;
      kafka_->Proxy("VICTIM").StopAt(again);
      StartWorker();
    });
  }
  Reach({"when it leaves the group", Wire::kKafka, {.what = "api 13 "}}, [&](Member& victim) {
    joined(victim);
    victim.process->Signal(SIGTERM);
  });
  Reach({"when it gives its lanes back",
         Wire::kDatabase,
         {.what = "set holder = null, lease_until = null where holder"}},
        [&](Member& victim) {
          joined(victim);
          victim.process->Signal(SIGTERM);
        });
  Finish();
  ExpectWhole();
}

}  // namespace
}  // namespace weir::faults
