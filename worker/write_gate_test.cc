#include "worker/write_gate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::worker {
namespace {

using std::chrono::milliseconds;
using Way = WriteGate::Way;

Error Of(const char* sqlstate) {
  Error error = MakeError(ErrorClass::kDatabase, "no space left");
  error.sqlstate = sqlstate;
  return error;
}

constexpr char kTable[] = "lichess.games";

TEST(WriteGate, IsOpenUntilAWriteFails) {
  WriteGate gate;
  EXPECT_EQ(gate.Ask(kTable, milliseconds(0)).way, Way::kOpen);
  gate.Failed(kTable, Of("53100"), milliseconds(0));
  const auto turn = gate.Ask(kTable, milliseconds(1'000));
  EXPECT_EQ(turn.way, Way::kWait);
  EXPECT_EQ(turn.wait, milliseconds(5'000));
  EXPECT_EQ(turn.why.message, "no space left");
  EXPECT_EQ(gate.Ask("chesscom.games", milliseconds(1'000)).way, Way::kOpen) << "each table has its own";
}

TEST(WriteGate, OneTriesAndTheOthersWaitForIt) {
  WriteGate gate;
  gate.Failed(kTable, Of("53100"), milliseconds(0));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(6'000)).way, Way::kTry);
  EXPECT_EQ(gate.Ask(kTable, milliseconds(6'000)).way, Way::kWait);
  gate.Left(kTable);
  EXPECT_EQ(gate.Ask(kTable, milliseconds(6'000)).way, Way::kTry) << "the first ended without a write";
  gate.Took(kTable, milliseconds(6'000));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(6'000)).way, Way::kOpen);
}

TEST(WriteGate, ThePauseDoublesUpToAMinuteAndIsForgottenByAWrite) {
  WriteGate gate;
  milliseconds now{0};
  std::vector<std::int64_t> pauses;
  for (int i = 0; i < 20; ++i) {
    const milliseconds pause = gate.Failed(kTable, Of("53100"), now);
    pauses.push_back(pause.count() / 1'000);
    now += pause;
    EXPECT_EQ(gate.Ask(kTable, now).way, Way::kTry);
  }
  pauses.resize(6);
  EXPECT_EQ(pauses, (std::vector<std::int64_t>{6, 12, 24, 48, 60, 60}));
  gate.Took(kTable, now);
  EXPECT_EQ(gate.Failed(kTable, Of("53100"), now), milliseconds(6'000));
}

// Inserts fail, and the pages of other accounts have nothing new: each of them passes.
TEST(WriteGate, APageWithNothingToWriteLetsTheOthersOnAndThePauseStillGrows) {
  WriteGate gate;
  milliseconds now{0};
  std::vector<std::int64_t> pauses;
  for (int i = 0; i < 4; ++i) {
    const milliseconds pause = gate.Failed(kTable, Of("53100"), now);
    pauses.push_back(pause.count() / 1'000);
    EXPECT_EQ(gate.Ask(kTable, now).way, Way::kWait);
    now += pause;
    EXPECT_EQ(gate.Ask(kTable, now).way, Way::kTry);
    gate.Passed(kTable);
    EXPECT_EQ(gate.Ask(kTable, now).way, Way::kOpen);
    gate.Suspect(kTable, Of("53100"));
    EXPECT_EQ(gate.Ask(kTable, now).way, Way::kOpen) << "what the ledger says is no newer";
  }
  EXPECT_EQ(pauses, (std::vector<std::int64_t>{6, 12, 24, 48}));
  gate.Passed(kTable);
  EXPECT_EQ(gate.Failed(kTable, Of("53100"), now), milliseconds(60'000)) << "nobody was let through to try";
}

TEST(WriteGate, RowsThatWereSentBeforeTheFailureSayNothingOfIt) {
  WriteGate gate;
  gate.Failed(kTable, Of("53100"), milliseconds(1'000));
  gate.Took(kTable, milliseconds(999));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(1'001)).way, Way::kWait);
  gate.Took(kTable, milliseconds(1'002));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(1'003)).way, Way::kOpen);
}

// Some of its batches were written before one was not: the table takes rows, if not all.
TEST(WriteGate, APageThatWroteSomeAndThenFailedBeginsWithTheShortestPause) {
  WriteGate gate;
  gate.Failed(kTable, Of("53100"), milliseconds(0));
  EXPECT_EQ(gate.Failed(kTable, Of("53100"), milliseconds(6'000)), milliseconds(12'000));
  EXPECT_EQ(gate.Failed(kTable, Of("53100"), milliseconds(18'000), milliseconds(5'000)), milliseconds(24'000))
      << "it wrote before the last failure";
  EXPECT_EQ(gate.Failed(kTable, Of("53100"), milliseconds(42'000), milliseconds(41'000)),
            milliseconds(6'000));
}

TEST(WriteGate, TwoPagesInARowThatAreRefusedWholeTellOfTheThird) {
  WriteGate gate;
  EXPECT_FALSE(gate.RefusedWhole("1 anna", "P0001", 100, 1));
  EXPECT_FALSE(gate.RefusedWhole("1 bert", "P0001", 100, 2)) << "each account by itself";
  EXPECT_FALSE(gate.RefusedWhole("1 anna", "23514", 100, 3)) << "for another reason";
  EXPECT_FALSE(gate.RefusedWhole("1 anna", "23514", 100, 3)) << "the same page again, after a replay";
  EXPECT_TRUE(gate.RefusedWhole("1 anna", "23514", 100, 4));
  gate.StoredOf("1 anna");
  EXPECT_FALSE(gate.RefusedWhole("1 anna", "23514", 100, 5));
  EXPECT_FALSE(gate.RefusedWhole("1 carl", "P0001", 1, 6));
  EXPECT_FALSE(gate.RefusedWhole("1 carl", "P0001", 1, 7)) << "two records may be at fault themselves";
  for (int i = 0; i < 10'000; ++i) gate.RefusedWhole("2 " + std::to_string(i), "P0001", 1, 1);
  EXPECT_FALSE(gate.RefusedWhole("1 bert", "P0001", 100, 9)) << "it remembers so many";
}

TEST(WriteGate, PagesThatFailTogetherAreOneFailure) {
  WriteGate gate;
  gate.Failed(kTable, Of("53100"), milliseconds(0));
  EXPECT_EQ(gate.Failed(kTable, Of("53100"), milliseconds(100)), milliseconds(5'900));
  EXPECT_EQ(gate.Failed(kTable, Of("53100"), milliseconds(6'000)), milliseconds(12'000));
}

TEST(WriteGate, AfterARefusalForGoodTheNextOneTriesAtOnce) {
  WriteGate gate;
  Error refused = Of("42703");
  refused.error_class = ErrorClass::kSchema;
  EXPECT_EQ(gate.Failed(kTable, refused, milliseconds(0)), milliseconds(0));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(0)).way, Way::kTry);
}

TEST(WriteGate, AConnectionThatBrokeIsTriedSoon) {
  WriteGate gate;
  EXPECT_EQ(gate.Failed(kTable, Of(""), milliseconds(0)), milliseconds(250));
  EXPECT_EQ(gate.Failed(kTable, Of("57P01"), milliseconds(250)), milliseconds(500));
}

TEST(WriteGate, WhatTheLedgerTellsIsTriedAtOnce) {
  WriteGate gate;
  gate.Suspect(kTable, Of("53100"));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(0)).way, Way::kTry);
  gate.Failed(kTable, Of("53100"), milliseconds(0));
  gate.Suspect(kTable, Of("53100"));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(0)).way, Way::kWait) << "what it knows by itself stands";
  gate.Took(kTable, milliseconds(1));
  gate.Suspect(kTable, Of("53100"));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(0)).way, Way::kOpen)
      << "its own write is newer than an old task's error";
}

}  // namespace
}  // namespace weir::worker
