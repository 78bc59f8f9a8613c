#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/ledger/dispatch.h"
#include "common/ledger/jobs.h"
#include "common/pg/session.h"
#include "tests/support/postgres/test_postgres.h"

namespace weir::ledger::testing {

// An empty ledger in a database of its own, and the few strokes that tests paint a job with.
class LedgerFixture : public ::testing::Test {
 protected:
  LedgerFixture();

  // A sync of chess/games for these accounts, all on meter "m" with one lane.
  static JobRequest Request(const std::vector<std::string>& accounts);
  JobId Open(const JobRequest& request);
  // Ends the account's discover task with a plan of `tasks` tasks of one page each, [0,1), [1,2), …
  void Plan(JobId job, const std::string& account, int tasks);
  void Expire(JobId job);

  void Run(const std::string& sql);
  // The first column of the first row; "" for NULL or no row.
  std::string Text(const std::string& sql);
  static std::string Id(JobId job) { return std::to_string(job.value); }

  weir::testing::TestPostgres database_;
  pg::SessionOptions options_;
  pg::Session session_;
};

}  // namespace weir::ledger::testing
