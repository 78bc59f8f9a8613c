// Fifty seeds, for every run of CI; ./dev chaos has two thousand.
#include "tests/hostile/hostile_fixture.h"

namespace weir::testing {
namespace {

class HostileSeeds : public HostileTest {};

TEST_F(HostileSeeds, EveryRecordIsAccountedFor) { RunSeeds(1, 50); }

}  // namespace
}  // namespace weir::testing
