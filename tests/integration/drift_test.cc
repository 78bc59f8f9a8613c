// Schema drift from the page to weir.drift, on a real PostgreSQL.
#include <gtest/gtest.h>

#include "common/ledger/drift.h"
#include "tests/integration/worker_fixture.h"

namespace weir::testing {
namespace {

class DriftTest : public WorkerFixture {};

TEST_F(DriftTest, APagesDriftIsCountedAndFailsNothing) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  ASSERT_TRUE(upstream_.SetFaults(
      R"({"rules":[{"match":"/api/games/user","action":"poison","records":["digits30"],"times":2}]})"));
  const auto sync = Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(sync.state, "succeeded");
  EXPECT_EQ(sync.totals.inserted, 301);
  const auto drift = ledger::ListDrift(session_, "lichess", "games");
  ASSERT_TRUE(drift) << drift.error().message;
  ASSERT_EQ(drift->size(), 1u);
  EXPECT_EQ(drift->at(0).field, "poison");
  EXPECT_EQ(drift->at(0).kind, "unknown");
  EXPECT_EQ(drift->at(0).found, "number");
  EXPECT_EQ(drift->at(0).count, 1);
  EXPECT_TRUE(ledger::ListDrift(session_, "chesscom", "")->empty());
}

TEST_F(DriftTest, WhatIsStoredIsBounded) {
  const auto entries = [](int from, int count) {
    std::vector<DriftLog::Entry> list;
    for (int i = from; i < from + count; ++i)
      list.push_back({"field" + std::to_string(i), DriftKind::kUnknown, "", "string", 2});
    return list;
  };
  for (int i = 0; i < 1'000; i += 100)
    ASSERT_TRUE(ledger::AddDrift(session_, "lichess", "games", entries(i, 100)));
  EXPECT_EQ(Text("select count(*) from weir.drift"), std::to_string(ledger::kMostDriftFields + 1));
  EXPECT_EQ(Text("select sum(count) from weir.drift"), "2000") << "nothing is lost in the count";
  EXPECT_EQ(Text("select count from weir.drift where field = '…'"), "1000");
  // Known ones still count, beside one that has no place.
  ASSERT_TRUE(ledger::AddDrift(session_, "lichess", "games", entries(0, 1)));
  EXPECT_EQ(Text("select count from weir.drift where field = 'field0'"), "4");
  ASSERT_TRUE(ledger::AddDrift(session_, "chesscom", "games", entries(0, 1)));
  EXPECT_EQ(Text("select count from weir.drift where source = 'chesscom'"), "2");
}

}  // namespace
}  // namespace weir::testing
