#include "producer/probe/lane_turn.h"

#include <gtest/gtest.h>

#include "common/ledger/lanes.h"
#include "common/ledger/testing/ledger_fixture.h"
#include "producer/probe/probe_fixture.h"

namespace weir::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LaneTurnTest : public ledger::testing::LedgerFixture {
 protected:
  LaneTurn Turn(const std::string& holder, pg::Session* session) {
    LaneTurnOptions options;
    options.holder = holder;
    options.patience = seconds(3);
    return LaneTurn(session, options, clock_,
                    {[this](const std::string& text) { said_ += text; },
                     [this](milliseconds time) {
                       clock_.Advance(time);
                       return false;
                     },
                     [] { return false; }});
  }
  ManualClock clock_;
  std::string said_;
};

TEST_F(LaneTurnTest, OneAtATimeHasALane) {
  pg::Session other(options_);
  LaneTurn mine = Turn("a", &session_), theirs = Turn("b", &other);
  ASSERT_TRUE(mine.Begin("m", 1));
  EXPECT_GT(*theirs.TryBegin("m", 1), milliseconds(0));
  const auto waits = theirs.Begin("m", 1);
  ASSERT_FALSE(waits);
  EXPECT_EQ(waits.error().error_class, ErrorClass::kConflict);
  EXPECT_NE(said_.find("a sync is using it"), std::string::npos);
  ASSERT_TRUE(mine.End(std::nullopt));
  ASSERT_TRUE(theirs.Begin("m", 1));
  EXPECT_EQ(Text("select holder from weir.lanes where meter = 'm'"), "b");
}

TEST_F(LaneTurnTest, ASecondLaneIsTakenWhenTheFirstIsNotFree) {
  pg::Session other(options_);
  LaneTurn mine = Turn("a", &session_), theirs = Turn("b", &other);
  ASSERT_TRUE(mine.Begin("m", 2));
  ASSERT_TRUE(theirs.Begin("m", 2));
  EXPECT_EQ(Text("select count(distinct holder) from weir.lanes where meter = 'm'"), "2");
}

TEST_F(LaneTurnTest, WhatTheUpstreamAskedForHoldsForWorkersToo) {
  LaneTurn turn = Turn("a", &session_);
  ASSERT_TRUE(turn.Begin("m", 1));
  ASSERT_TRUE(turn.End(seconds(60)));
  EXPECT_EQ(Text("select waiting_for from weir.lanes where not_before > now() + interval '50 s'"),
            "throttled");
  EXPECT_EQ(Text("select count(holder) from weir.lanes"), "0");
}

TEST_F(LaneTurnTest, ALeaseThatCannotBeRenewedEndsTheRequest) {
  LaneTurn turn = Turn("a", &session_);
  ASSERT_TRUE(turn.Begin("m", 1));
  clock_.Advance(seconds(2));
  EXPECT_FALSE(turn.Check()) << "it is renewed";
  Run("update weir.lanes set holder = 'thief'");
  clock_.Advance(seconds(2));
  EXPECT_FALSE(turn.Check()) << "what was renewed before still holds";
  clock_.Advance(seconds(4));
  const auto lost = turn.Check();
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->error_class, ErrorClass::kDatabase);
}

// As workers do: a job's plan has the database's time.
class ProbeWithDatabase : public ledger::testing::LedgerFixture {};

TEST_F(ProbeWithDatabase, ThePlanGoesByTheDatabasesTime) {
  const ScriptServer server([](ScriptServer::Connection& connection) {
    while (!connection.ReadRequest().empty())
      connection.Send(
          "HTTP/1.1 200 OK\r\nDate: Wed, 01 Jan 2025 00:00:00 GMT\r\nContent-Length: 2\r\n\r\n[]");
  });
  const Config config;
  const TestSource source;
  ManualClock clock(kWrongNow);
  AccountSettings account;
  account.meter = "m";
  account.base_url = server.Url();
  account.user_agent = "weir-test/1";
  LaneTurnOptions options;
  options.holder = "p";
  Prober prober(config, &session_, options,
                {[](const auto&) {}, [](auto) { return false; }, [] { return false; }}, clock);
  const std::int64_t before = *ledger::DatabaseMillis(session_);
  const auto discovered = prober.Discover(source, account, DiscoverContext(account, "games"));
  ASSERT_TRUE(discovered) << discovered.error().message;
  EXPECT_GE(discovered->now_ms, before);
  EXPECT_LE(discovered->now_ms, *ledger::DatabaseMillis(session_));
  EXPECT_EQ(Text("select count(holder) from weir.lanes"), "0");
}

}  // namespace
}  // namespace weir::probe
