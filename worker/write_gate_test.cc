#include "worker/write_gate.h"

#include <gtest/gtest.h>

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
  gate.Took(kTable);
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
  gate.Took(kTable);
  EXPECT_EQ(gate.Failed(kTable, Of("53100"), now), milliseconds(6'000));
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
  gate.Took(kTable);
  gate.Suspect(kTable, Of("53100"));
  EXPECT_EQ(gate.Ask(kTable, milliseconds(0)).way, Way::kOpen)
      << "its own write is newer than an old task's error";
}

}  // namespace
}  // namespace weir::worker
