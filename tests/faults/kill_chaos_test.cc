// Workers killed at random, and replaced. The long run of ./dev chaos.
#include "tests/faults/kill_run.h"

namespace weir::faults {
namespace {

class ApacheKafkaKillChaos : public ApacheKafkaKill {};

TEST_F(ApacheKafkaKillChaos, WorkersAtRandom) { Run(200); }

}  // namespace
}  // namespace weir::faults
