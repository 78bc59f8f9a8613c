#include "producer/sync/standstill.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::milliseconds;

ledger::JobStatus Job(std::int64_t requests, const std::string& waiting_for = "") {
  ledger::JobStatus job;
  job.state = "running";
  job.totals.requests = requests;
  job.accounts.resize(2);
  job.accounts[0].state = "succeeded";
  job.accounts[1].state = "running";
  job.accounts[1].waiting_for = waiting_for;
  return job;
}

TEST(Standstill, AJobThatAsksForNothingStandsStill) {
  Standstill still;
  EXPECT_FALSE(still.Look(Job(0), milliseconds(0)));
  EXPECT_FALSE(still.Look(Job(0), milliseconds(3'000)));
  EXPECT_TRUE(still.Look(Job(0), milliseconds(3'001)));
}

TEST(Standstill, SoDoesOneThatIsGoneOnWithOrStopsInTheMiddle) {
  Standstill still;
  EXPECT_FALSE(still.Look(Job(5), milliseconds(0)));
  EXPECT_TRUE(still.Look(Job(5), milliseconds(4'000)));
  EXPECT_FALSE(still.Look(Job(6), milliseconds(5'000))) << "it goes on";
  EXPECT_FALSE(still.Look(Job(6), milliseconds(8'000)));
  EXPECT_TRUE(still.Look(Job(6), milliseconds(9'000)));
}

TEST(Standstill, WhatItSaysThatItWaitsForExplainsIt) {
  Standstill still;
  EXPECT_FALSE(still.Look(Job(5), milliseconds(0)));
  EXPECT_FALSE(still.Look(Job(5, "throttled"), milliseconds(60'000)));
  EXPECT_FALSE(still.Look(Job(5), milliseconds(61'000))) << "the wait is over just now";
  EXPECT_TRUE(still.Look(Job(5), milliseconds(64'000)));
  ledger::JobStatus paused = Job(5);
  paused.state = "paused";
  EXPECT_FALSE(still.Look(paused, milliseconds(70'000)));
  ledger::JobStatus unknown;
  EXPECT_FALSE(still.Look(unknown, milliseconds(80'000)));
  ledger::JobStatus queued = Job(5);
  queued.accounts.clear();
  EXPECT_FALSE(still.Look(queued, milliseconds(81'000)));
  EXPECT_TRUE(still.Look(queued, milliseconds(85'000)));
}

}  // namespace
}  // namespace weir
