#include "common/ledger/testing/ledger_fixture.h"

#include <stdexcept>

#include "common/ledger/migrations.h"

namespace weir::ledger::testing {

LedgerFixture::LedgerFixture() : options_(database_.Options()), session_(options_) {
  for (const pg::Migration& migration : AllMigrations()) {
    auto done = session_.Script(migration.up);
    if (!done) throw std::runtime_error(std::string(migration.name) + ": " + done.error().message);
  }
}

JobRequest LedgerFixture::Request(const std::vector<std::string>& accounts) {
  JobRequest request;
  request.source = "chess";
  request.stream = "games";
  request.now_ms = 1'700'000'000'000;
  for (const std::string& account : accounts) request.accounts.push_back({account, account, "m", 1});
  return request;
}

JobId LedgerFixture::Open(const JobRequest& request) {
  auto job = OpenJob(session_, request);
  EXPECT_TRUE(job) << (job ? "" : job.error().message);
  return job ? job->id : JobId{};
}

void LedgerFixture::Plan(JobId job, const std::string& account, int tasks) {
  const std::string of_account = " job_id = " + Id(job) + " and account = '" + account + "'";
  Run("update weir.tasks set state = 'done' where kind = 0 and" + of_account);
  Run("update weir.job_accounts set planned = true where" + of_account);
  Run("insert into weir.tasks (job_id, account, meter, lane, kind, lo, hi) "
      "select job_id, account, meter, lane, 1, i, i + 1 from weir.tasks, generate_series(0, " +
      std::to_string(tasks - 1) + ") i where kind = 0 and" + of_account + " order by i");
}

void LedgerFixture::Expire(JobId job) {
  Run("update weir.jobs set deadline_at = now() - interval '1 s' where id = " + Id(job));
  auto ended = EndJobs(session_);
  EXPECT_TRUE(ended) << (ended ? "" : ended.error().message);
}

void LedgerFixture::Run(const std::string& sql) {
  auto done = session_.Exec(sql);
  ASSERT_TRUE(done) << done.error().message << "\n" << sql;
}

std::string LedgerFixture::Text(const std::string& sql) {
  auto rows = session_.Exec(sql);
  EXPECT_TRUE(rows) << (rows ? "" : rows.error().message) << "\n" << sql;
  return rows && !rows->Empty() ? std::string(rows->Text(0, 0)) : std::string();
}

}  // namespace weir::ledger::testing
