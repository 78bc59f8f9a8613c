#include "tests/e2e/backpressure.h"

namespace weir::e2e {
namespace {

class BackpressureApacheKafka : public Backpressure {};

TEST_F(BackpressureApacheKafka, AStoppedDatabaseMakesLagNotMemory) { ExpectLagNotMemory(100'000); }

}  // namespace
}  // namespace weir::e2e
