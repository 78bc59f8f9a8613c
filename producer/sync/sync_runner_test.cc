#include "producer/sync/sync_runner.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(LocalWorkerCountTest, TwoOnTheEmbeddedBrokerAndNoneWhereBrokersAreConfigured) {
  EXPECT_EQ(LocalWorkerCount(std::nullopt, /*embedded_broker=*/true), 2);
  EXPECT_EQ(LocalWorkerCount(std::nullopt, /*embedded_broker=*/false), 0);
  for (const bool embedded : {true, false}) {
    EXPECT_EQ(LocalWorkerCount(0, embedded), 0);
    EXPECT_EQ(LocalWorkerCount(5, embedded), 5);
  }
}

TEST(ConnectionsOfSyncTest, EachWorkerHasItsSessionsAndOneForItsLeases) {
  EXPECT_EQ(ConnectionsOfSync(0, 4).full, 7);
  EXPECT_EQ(ConnectionsOfSync(2, 4).full, 18);
  EXPECT_EQ(ConnectionsOfSync(2, 4).least, 11);
  EXPECT_EQ(ConnectionsOfSync(1, 4).full, 13);
}

}  // namespace
}  // namespace weir
