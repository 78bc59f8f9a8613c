#include "common/ledger/failures.h"

#include <gtest/gtest.h>

#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

class FailuresTest : public testing::LedgerFixture {
 protected:
  // Kills the account's page `lo`, at this time.
  void Kill(const std::string& account, int lo, const std::string& error_class, const std::string& at,
            const std::string& hint = "h") {
    Run("update weir.tasks set state = 'dead', error_class = '" + error_class +
        "', http_status = 404, attempts = 2, error_message = 'm', error_hint = '" + hint +
        "', error_request = 'GET /a', error_head = 'HTTP 404', error_body = 'b', finished_at = '" + at +
        "' where kind = 1 and account = '" + account + "' and lo = " + std::to_string(lo));
  }
};

TEST_F(FailuresTest, FailuresTellWhatIsDead) {
  const JobId id = Open(Request({"alice", "bob"}));
  Plan(id, "alice", 2);
  Kill("alice", 1, "gone", "2026-11-25T01:02:03Z");
  auto failures = ListFailures(session_, {});
  ASSERT_TRUE(failures) << failures.error().message;
  ASSERT_EQ(failures->size(), 1u);
  const Failure& f = failures->front();
  EXPECT_EQ(f.job, id);
  EXPECT_EQ(f.page, "pages 1..2");
  EXPECT_EQ(f.error_class, "gone");
  EXPECT_EQ(f.http_status, 404);
  EXPECT_EQ(f.attempts, 2);
  EXPECT_EQ(f.hint, "h");
  EXPECT_EQ(f.request, "GET /a");
  EXPECT_EQ(f.head, "HTTP 404");
  EXPECT_EQ(f.body, "b");
  EXPECT_EQ(f.finished_at, "2026-11-25T01:02:03.000Z");
}

TEST_F(FailuresTest, TheyAreChosenByClassSourceAccountJobAndTime) {
  const JobId first = Open(Request({"alice"})), second = Open(Request({"bob"}));
  Plan(first, "alice", 2);
  Plan(second, "bob", 1);
  Kill("alice", 0, "gone", "2026-11-25T01:00:00Z");
  Kill("alice", 1, "auth", "2026-11-25T02:00:00Z");
  Kill("bob", 0, "auth", "2026-11-25T03:00:00Z");
  const auto count = [this](const FailureFilter& filter) { return ListFailures(session_, filter)->size(); };
  EXPECT_EQ(count({}), 3u);
  EXPECT_EQ(count({.error_class = "auth"}), 2u);
  EXPECT_EQ(count({.job = first}), 2u);
  EXPECT_EQ(count({.account = "ALICE"}), 2u);
  EXPECT_EQ(count({.source = "chess"}), 3u);
  EXPECT_EQ(count({.source = "other"}), 0u);
  EXPECT_EQ(count({.since_ms = 1795572000000}), 2u);  // 2026-11-25T02:00:00Z is in, as the lower bound
  EXPECT_EQ(count({.until_ms = 1795572000000}), 1u);
  EXPECT_EQ(count({.limit = 2}), 2u);
  EXPECT_EQ(ListFailures(session_, {.job = JobId{99}}).error().error_class, ErrorClass::kNotFound);
  EXPECT_EQ(ListFailures(session_, {.task = TaskId{99}}).error().error_class, ErrorClass::kNotFound);
}

TEST_F(FailuresTest, GroupsCountAndTellFirstLastAndTheNewestHint) {
  const JobId first = Open(Request({"alice"})), second = Open(Request({"bob"}));
  Plan(first, "alice", 3);
  Plan(second, "bob", 1);
  Kill("alice", 0, "gone", "2026-11-25T01:00:00Z");
  Kill("alice", 1, "auth", "2026-11-24T02:00:00Z", "old hint");
  Kill("alice", 2, "auth", "2026-11-25T02:00:00Z");
  Kill("bob", 0, "auth", "2026-11-25T03:00:00Z", "new hint");
  auto groups = GroupFailures(session_, {});
  ASSERT_TRUE(groups) << groups.error().message;
  ASSERT_EQ(groups->size(), 2u);
  const FailureGroup& auth = groups->front();
  EXPECT_EQ(auth.error_class, "auth");
  EXPECT_EQ(auth.tasks, 3);
  EXPECT_EQ(auth.jobs, 2);
  EXPECT_EQ(auth.accounts, 2);
  EXPECT_EQ(auth.first_at, "2026-11-24T02:00:00.000Z");
  EXPECT_EQ(auth.last_at, "2026-11-25T03:00:00.000Z");
  EXPECT_EQ(auth.hint, "new hint");
  EXPECT_EQ(std::to_string(auth.last.value),
            Text("select id from weir.tasks where account = 'bob' and kind = 1"));
  EXPECT_EQ((*groups)[1].tasks, 1);
  EXPECT_EQ(GroupFailures(session_, {.job = second})->size(), 1u);
  EXPECT_EQ(GroupFailures(session_, {.job = JobId{99}}).error().error_class, ErrorClass::kNotFound);
}

}  // namespace
}  // namespace weir::ledger
