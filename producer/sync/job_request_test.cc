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
  auto request = MakeJobRequest(AccountBook(config), target, ReadBy::kUs);
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
  EXPECT_EQ(MakeJobRequest(config, AccountBook(config), options, ReadBy::kUs)->deadline, std::nullopt);
  config.sync_deadline = std::chrono::minutes(9);
  EXPECT_EQ(MakeJobRequest(config, AccountBook(config), options, ReadBy::kUs)->deadline,
            std::chrono::minutes(9));
  options.deadline = std::chrono::seconds(5);
  EXPECT_EQ(MakeJobRequest(config, AccountBook(config), options, ReadBy::kUs)->deadline,
            std::chrono::seconds(5));
}

TEST(JobRequestTest, WhatCannotBeIsAConfigurationError) {
  const Config none;
  SyncTarget target;
  target.source = "chesscom";
  target.stream = "puzzles";
  target.accounts = {"hikaru"};
  EXPECT_EQ(MakeJobRequest(AccountBook(none), target, ReadBy::kUs).error().error_class, ErrorClass::kConfig);
  target.stream = "games";
  target.accounts = {"no such/player"};
  EXPECT_EQ(MakeJobRequest(AccountBook(none), target, ReadBy::kUs).error().error_class, ErrorClass::kConfig);
}

// A host that only opens jobs has no tokens: the workers do, and move the account to its meter's lanes.
TEST(JobRequestTest, AProducerNeedsNoSecretUnlessItReadsItself) {
  Config config;
  for (const char* name : {"anna", "bob", "carl"}) {
    AccountConfig& account = config.accounts.emplace_back();
    account.name = name;
    account.source = "lichess";
    account.secret_refs["token"] = "env:WEIR_TEST_TOKEN_THAT_IS_NOT_HERE";
  }
  config.accounts[2].secret_refs["token"] = "env:WEIR_TEST_ANOTHER_TOKEN_THAT_IS_NOT_HERE";
  SyncTarget target;
  target.source = "lichess";
  target.stream = "games";
  target.accounts = {"anna", "bob", "carl"};
  const AccountBook book(config);
  const auto request = MakeJobRequest(book, target, ReadBy::kOthers);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_NE(request->accounts[0].meter, "lichess:anonymous");
  EXPECT_EQ(request->accounts[0].meter, request->accounts[1].meter)
      << "the same token, as far as can be known";
  EXPECT_NE(request->accounts[0].meter, request->accounts[2].meter);
  const auto strict = MakeJobRequest(book, target, ReadBy::kUs);
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().error_class, ErrorClass::kConfig);
  EXPECT_NE(strict.error().message.find("WEIR_TEST_TOKEN_THAT_IS_NOT_HERE is not set"), std::string::npos);
}

}  // namespace
}  // namespace weir
