#include "producer/cli/services.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/pg/session.h"
#include "tests/support/postgres/test_postgres.h"

namespace weir::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The commands' own services on a real database.
class ServicesTest : public ::testing::Test {
 protected:
  ServicesTest() {
    config_.database_url = Secret(database_.url());
    config_.home = "/nonexistent";
  }
  weir::testing::TestPostgres database_;
  Config config_;
  std::unique_ptr<Services> services_ = MakeServices();
};

TEST_F(ServicesTest, ASchemaIsWantedBeforeJobsAreAsked) {
  const auto jobs = services_->OpenJobs(config_);
  ASSERT_FALSE(jobs);
  EXPECT_EQ(jobs.error().error_class, ErrorClass::kConfig);
  EXPECT_THAT(jobs.error().message + jobs.error().hint, HasSubstr("migrate up"));
  EXPECT_EQ(services_->CheckDatabase(config_).front().state, "fail");
}

TEST_F(ServicesTest, MigrationsGoUpAndDownAndTheLedgerAnswers) {
  auto schema = services_->OpenSchema(config_);
  ASSERT_TRUE(schema) << schema.error().message;
  const auto applied = (*schema)->Up();
  ASSERT_TRUE(applied) << applied.error().message;
  ASSERT_GE(applied->size(), 2u);
  EXPECT_EQ(services_->CheckDatabase(config_).front().state, "ok");
  {
    auto jobs = services_->OpenJobs(config_);
    ASSERT_TRUE(jobs) << jobs.error().message;
    EXPECT_TRUE((*jobs)->List(10, false, std::nullopt)->empty());
    EXPECT_EQ((*jobs)->Get(JobId{1}).error().error_class, ErrorClass::kNotFound);
    EXPECT_EQ((*jobs)->Cancel(JobId{1}).error().error_class, ErrorClass::kNotFound);
    EXPECT_TRUE((*jobs)->Failures({})->empty());
    ledger::FailureFilter filter;
    filter.job = JobId{1};
    EXPECT_EQ((*jobs)->Replay(filter, {.dry_run = true}).error().error_class, ErrorClass::kNotFound);
  }
  const auto reverted = (*schema)->Down(1);
  ASSERT_TRUE(reverted) << reverted.error().message;
  EXPECT_EQ(*reverted, std::vector<int>{applied->back()});
  EXPECT_EQ((*schema)->Status()->back().state, pg::MigrationState::kPending);
  EXPECT_EQ((*schema)->Down(100)->size(), applied->size() - 1);
}

TEST_F(ServicesTest, AnUnreachableDatabaseIsToldWithoutItsPassword) {
  config_.database_url = Secret("postgresql://weir:hunter2@127.0.0.1:1/weir");
  const auto jobs = services_->OpenJobs(config_);
  ASSERT_FALSE(jobs);
  EXPECT_EQ(jobs.error().error_class, ErrorClass::kDatabase);
  EXPECT_THAT(jobs.error().message + jobs.error().hint, Not(HasSubstr("hunter2")));
  const Check check = services_->CheckDatabase(config_).front();
  EXPECT_EQ(check.state, "fail");
  EXPECT_THAT(check.detail + check.hint, Not(HasSubstr("hunter2")));
}

TEST_F(ServicesTest, NothingIsSetUpToFindNothingIn) {
  config_.database_url = Secret();
  const auto jobs = services_->OpenJobs(config_);
  ASSERT_FALSE(jobs);
  EXPECT_EQ(jobs.error().error_class, ErrorClass::kNotFound);
}

}  // namespace
}  // namespace weir::cli
