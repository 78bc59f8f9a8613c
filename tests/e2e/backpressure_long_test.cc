#include "tests/e2e/backpressure.h"

namespace weir::e2e {
namespace {

class LongBackpressureApacheKafka : public Backpressure {};

TEST_F(LongBackpressureApacheKafka, AStoppedDatabaseMakesLagNotMemory) { ExpectLagNotMemory(1'000'000); }

}  // namespace
}  // namespace weir::e2e
