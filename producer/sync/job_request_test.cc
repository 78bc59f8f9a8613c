#include "producer/sync/job_request.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(JobRequestTest, AccountsHaveTheirKeyMeterAndLanes) {
  Config config;
  config.sources["chesscom"].lanes = 4;
  SyncTarget target;
  target.source = "chesscom";
  target.stream = "games";
  target.accounts = {"Hikaru", "MagnusCarlsen", "hikaru"};
  target.mode = JobMode::kIncremental;
  target.filter.limit = 5;
  target.priority = "interactive";
  target.deadline = std::chrono::seconds(9);
  auto request = MakeJobRequest(config, target);
  ASSERT_TRUE(request) << request.error().message;
  ASSERT_EQ(request->accounts.size(), 2u);
  EXPECT_EQ(request->accounts[0].key, "hikaru");
  EXPECT_EQ(request->accounts[0].name, "Hikaru");
  EXPECT_EQ(request->accounts[0].lanes, 4);
  // All players are read from one address, which is what Chess.com counts.
  EXPECT_FALSE(request->accounts[0].meter.empty());
  EXPECT_EQ(request->accounts[0].meter, request->accounts[1].meter);
  EXPECT_EQ(request->mode, JobMode::kIncremental);
  EXPECT_EQ(request->filter.limit, 5);
  EXPECT_EQ(request->priority, "interactive");
  EXPECT_EQ(request->deadline, std::chrono::seconds(9));
  EXPECT_FALSE(request->now_ms) << "the database's clock, not this machine's";
}

// Whoever asks: the command line, or the control API.
TEST(JobRequestTest, WithoutADeadlineOfItsOwnAJobHasTheConfiguredOne) {
  Config config;
  cli::SyncOptions options;
  options.source = "chesscom";
  options.stream = "games";
  options.accounts = {"hikaru"};
  EXPECT_EQ(MakeJobRequest(config, options)->deadline, std::nullopt);
  config.sync_deadline = std::chrono::minutes(9);
  EXPECT_EQ(MakeJobRequest(config, options)->deadline, std::chrono::minutes(9));
  options.deadline = std::chrono::seconds(5);
  EXPECT_EQ(MakeJobRequest(config, options)->deadline, std::chrono::seconds(5));
}

TEST(JobRequestTest, WhatCannotBeIsAConfigurationError) {
  SyncTarget target;
  target.source = "chesscom";
  target.stream = "puzzles";
  target.accounts = {"hikaru"};
  EXPECT_EQ(MakeJobRequest(Config{}, target).error().error_class, ErrorClass::kConfig);
  target.stream = "games";
  target.accounts = {"no such/player"};
  EXPECT_EQ(MakeJobRequest(Config{}, target).error().error_class, ErrorClass::kConfig);
}

}  // namespace
}  // namespace weir
