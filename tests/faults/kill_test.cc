// Workers killed at random, and replaced. A short run, for CI.
#include "tests/faults/kill_run.h"

namespace weir::faults {
namespace {

TEST_F(ApacheKafkaKill, WorkersAtRandom) { Run(6); }

}  // namespace
}  // namespace weir::faults
