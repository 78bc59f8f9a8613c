#include "common/ledger/dead_letters.h"

#include <gtest/gtest.h>

#include "common/ledger/failures.h"
#include "common/ledger/task_message.h"
#include "common/ledger/tasks.h"
#include "common/ledger/testing/ledger_fixture.h"

namespace weir::ledger {
namespace {

class DeadLettersTest : public testing::LedgerFixture {
 protected:
  TaskId Page(int lo) {
    return TaskId{
        std::stoll(Text("select id from weir.tasks where kind = 1 and lo = " + std::to_string(lo)))};
  }
  std::vector<DeadLetter> Due() {
    auto due = LettersDue(session_, 100);
    EXPECT_TRUE(due) << (due ? "" : due.error().message);
    return due.value_or(std::vector<DeadLetter>{});
  }
};

TEST_F(DeadLettersTest, ATasksDeathAndItsLetterAreOne) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 2);
  Run("update weir.tasks set state = 'dispatched', dispatches = 2 where kind = 1");
  const std::string bytes("\x08\x01\x00\xff as it came", 16);
  auto claim = ClaimTask(session_, Page(1), {.owner = "w", .letter = {bytes, "weir.tasks/7/12345678901"}});
  ASSERT_TRUE(claim && claim->task);
  EXPECT_TRUE(Due().empty());
  Error error = MakeError(ErrorClass::kGone, "not there");
  error.http_status = 404;
  ASSERT_TRUE(KillTask(session_, *claim->task, error, "GET /", "HTTP 404", {}));
  const auto due = Due();
  ASSERT_EQ(due.size(), 1u);
  const DeadLetter& letter = due.front();
  EXPECT_EQ(letter.task.id, Page(1));
  EXPECT_EQ(letter.task.job, id);
  EXPECT_EQ(letter.task.account, "alice");
  EXPECT_EQ(letter.message, bytes);
  EXPECT_EQ(letter.topic, "weir.tasks");
  EXPECT_EQ(letter.partition, 7);
  EXPECT_EQ(letter.offset, 12345678901);
  EXPECT_EQ(letter.deliveries, 2);
  EXPECT_EQ(letter.attempts, 1);
  EXPECT_EQ(letter.http_status, 404);
  EXPECT_EQ(letter.error_class, "gone");
  EXPECT_EQ(letter.error, "not there");
  ASSERT_TRUE(MarkLettersSent(session_, {{letter.task.id, letter.task.epoch}}));
  EXPECT_TRUE(Due().empty());
  EXPECT_EQ(Text("select state || coalesce(letter_from, '-') from weir.tasks where kind = 1 and lo = 1"),
            "dead-");
}

// A letter is sent at least once for each death, also when the task is replayed while its letter is on its
// way.
TEST_F(DeadLettersTest, ATaskThatDiesAgainWhileItsLetterIsSentHasASecondLetter) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 1);
  const auto die = [&] {
    auto claim = ClaimTask(session_, Page(0), {.owner = "w", .letter = {"m", "weir.tasks/0/1"}});
    ASSERT_TRUE(claim && claim->task);
    ASSERT_TRUE(KillTask(session_, *claim->task, MakeError(ErrorClass::kGone, "not there"), "", "", {}));
  };
  die();
  const auto first = Due();
  ASSERT_EQ(first.size(), 1u);
  FailureFilter all;
  all.job = id;
  ASSERT_TRUE(Replay(session_, all, {}));
  die();
  ASSERT_TRUE(MarkLettersSent(session_, {{first[0].task.id, first[0].task.epoch}}));
  EXPECT_EQ(Due().size(), 1u);
}

// Those that die with their account were perhaps never sent: their letter is what would have been.
TEST_F(DeadLettersTest, WhatDiesWithItsAccountHasALetterToo) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 3);
  auto claim = ClaimTask(session_, Page(0), {.owner = "w", .letter = {"x", "weir.tasks/0/1"}});
  ASSERT_TRUE(claim && claim->task);
  ASSERT_TRUE(KillTask(session_, *claim->task, MakeError(ErrorClass::kAuth, "refused"), "", "", {}));
  ASSERT_TRUE(EndJobs(session_));
  const auto due = Due();
  ASSERT_EQ(due.size(), 3u);
  EXPECT_EQ(due[0].message, "x");
  auto decoded = DecodeTask(due[2].message);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->task, Page(2));
  EXPECT_EQ(due[2].topic, "");
  EXPECT_EQ(due[2].partition, -1);
  EXPECT_EQ(due[2].offset, -1);
  EXPECT_EQ(LettersDue(session_, 2)->size(), 2u);
}

TEST_F(DeadLettersTest, PoisonIsDeadWithItsLetterInTheClaimThatFindsIt) {
  const JobId id = Open(Request({"alice"}));
  Plan(id, "alice", 1);
  for (const char* worker : {"a", "b", "c"}) {
    auto claim =
        ClaimTask(session_, Page(0), {.owner = worker, .alone = true, .letter = {"m", "weir.tasks/0/5"}});
    ASSERT_TRUE(claim) << claim.error().message;
    ASSERT_EQ(claim->kind, ClaimResult::Kind::kClaimed) << worker;
  }
  EXPECT_TRUE(Due().empty());
  auto claim = ClaimTask(session_, Page(0), {.owner = "d", .letter = {"m", "weir.tasks/0/5"}});
  ASSERT_TRUE(claim) << claim.error().message;
  EXPECT_EQ(claim->kind, ClaimResult::Kind::kPoison);
  const auto due = Due();
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].error_class, "poison");
  EXPECT_EQ(due[0].error, "its worker died 3 times in a row while it read this page");
  EXPECT_EQ(due[0].offset, 5);
  EXPECT_EQ(
      Text("select state || crashes || coalesce(owner, '-') || error_class from weir.tasks where kind = 1"),
      "dead3-poison");
  EXPECT_EQ(Text("select error_hint from weir.tasks where kind = 1"),
            "look at the workers' logs around these times, then: weir replay " + Id(id) + " --class poison");
  // Again: it has ended.
  EXPECT_EQ(ClaimTask(session_, Page(0), {.owner = "e"})->kind, ClaimResult::Kind::kEnded);
}

}  // namespace
}  // namespace weir::ledger
