// The protocol of DESIGN §4 on a real PostgreSQL: each invariant has a test named after it.
#include <gtest/gtest.h>

#include "common/ledger/failures.h"
#include "tests/integration/worker_fixture.h"

namespace weir::testing {
namespace {

class PageTest : public WorkerFixture {
 protected:
  static void ExpectSums(const ledger::Counters& c) {
    EXPECT_EQ(c.fetched, c.inserted + c.updated + c.unchanged + c.rejected + c.duplicates);
  }
};

TEST_F(PageTest, AFullSyncEqualsTheUpstream) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=2500"));
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=1200"));
  const auto lichess = Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(lichess.state, "succeeded");
  EXPECT_EQ(lichess.totals.inserted, 2500);
  ExpectSums(lichess.totals);
  ExpectEqualsUpstream("lichess", "alice");
  const auto chesscom = Sync(Request("chesscom", {"hikaru"}));
  EXPECT_EQ(chesscom.state, "succeeded");
  EXPECT_EQ(chesscom.totals.inserted, 1200);
  ExpectSums(chesscom.totals);
  ExpectEqualsUpstream("chesscom", "hikaru");
}

TEST_F(PageTest, AnUnchangedSyncWritesNoRow) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=700"));
  auto request = Request("chesscom", {"hikaru"});
  request.mode = JobMode::kFull;
  Sync(request);
  const std::string before = Text(
      "select sum(n_tup_upd + n_tup_ins + n_tup_del) from pg_stat_user_tables where schemaname = 'chesscom'");
  const std::string rows = Text("select max(xmin::text::int8) from chesscom.games");
  const auto again = Sync(request);
  EXPECT_EQ(again.totals.unchanged, 700);
  EXPECT_EQ(again.totals.updated + again.totals.inserted, 0);
  EXPECT_EQ(Text("select max(xmin::text::int8) from chesscom.games"), rows) << "no row has a newer version";
}

// COPY's binary format needs the very types; who altered one still gets his rows.
TEST_F(PageTest, ATableWithAlteredColumnsTakesItsRowsAsText) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=1200"));
  ASSERT_TRUE(session_.Script("alter table chesscom.games alter white_rating type bigint"));
  const auto first = Sync(Request("chesscom", {"hikaru"}));
  EXPECT_EQ(first.state, "succeeded");
  EXPECT_EQ(first.totals.inserted, 1200);
  EXPECT_EQ(first.totals.rejected, 0);
}

// Rows that others put between a page's are read with it and change nothing; more of them than twice a page
// end the look-up by time, and the keys decide.
TEST_F(PageTest, ALookUpByTimeIsOnlyAWayToTheKeys) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=700"));
  auto request = Request("chesscom", {"hikaru"});
  request.mode = JobMode::kFull;
  Sync(request);
  ASSERT_TRUE(session_.Script(
      "insert into chesscom.games (account, id, end_time, raw, content_hash) "
      "select account, id || '-' || n, end_time, raw, content_hash from chesscom.games, generate_series(1, "
      "4) n"));
  ASSERT_TRUE(session_.Script(
      "update chesscom.games set end_time = null where id in (select id from chesscom.games where id not "
      "like '%-_' limit 10)"));
  const auto again = Sync(request);
  EXPECT_EQ(again.totals.unchanged, 700);
  EXPECT_EQ(again.totals.inserted + again.totals.updated, 0);
}

// Invariant 1.
TEST_F(PageTest, RecordsPositionAndCountersCommitTogether) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=1900"));
  ASSERT_TRUE(upstream_.SetFaults(
      R"({"rules":[{"match":"/api/games/user","action":"reset","after":200000,"times":2}]})"));
  const auto status = Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(status.state, "succeeded");
  EXPECT_EQ(status.totals.inserted, 1900);
  EXPECT_EQ(status.totals.fetched, 1900) << "a re-read skips what is committed";
  EXPECT_EQ(Text("select sum(attempts) from weir.tasks"), "2");
  ExpectEqualsUpstream("lichess", "alice");
}

// Invariant 2.
TEST_F(PageTest, AZombiesWriteDoesNothing) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=300"));
  Worker first(this, "worker-a");
  const JobId job = Open(Request("chesscom", {"hikaru"}));
  for (const auto& task : Ready()) first.Deliver(task);
  first.RunOnce();
  const auto ready = Ready();
  ASSERT_FALSE(ready.empty());
  auto old = ledger::ClaimTask(session_, ready.front().id, {.owner = "worker-a"});
  ASSERT_TRUE(old && old->task);
  auto newer = ledger::ClaimTask(session_, ready.front().id, {.owner = "worker-b"});
  ASSERT_TRUE(newer && newer->task);
  EXPECT_GT(newer->task->epoch, old->task->epoch);
  ASSERT_TRUE(ledger::PrepareFence(session_));
  auto wrote = session_.SubmitFenced(
      "begin; " + ledger::FenceSql(*old->task, {.fetched = 5, .done = true}) + "commit", "");
  if (wrote) wrote = session_.Await();
  ASSERT_FALSE(wrote);
  EXPECT_EQ(wrote.error().error_class, ErrorClass::kFenced);
  EXPECT_EQ(
      Text("select fetched || state from weir.tasks where id = " + std::to_string(ready.front().id.value)),
      "0running");
  (void)job;
}

// Invariant 2: a zombie stopped inside its COPY holds the task's row lock; the claim ends its backend.
TEST_F(PageTest, AZombieInsideItsCopyDoesNotHoldUpTheNextOwner) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=300"));
  Worker worker(this, "worker-a");
  Open(Request("chesscom", {"hikaru"}));
  const auto ready = Ready();
  ASSERT_FALSE(ready.empty());
  auto old = ledger::ClaimTask(session_, ready.front().id, {.owner = "worker-a"});
  ASSERT_TRUE(old && old->task);
  pg::Session zombie(database_.Options());
  ASSERT_TRUE(ledger::PrepareFence(zombie));
  ASSERT_TRUE(zombie.Exec("begin"));
  ASSERT_TRUE(zombie.Exec(ledger::FenceSql(*old->task, {.fetched = 5})
                              .substr(0, ledger::FenceSql(*old->task, {.fetched = 5}).rfind(';'))));
  auto newer = ledger::ClaimTask(session_, ready.front().id,
                                 {.owner = "worker-b", .lock_timeout = std::chrono::milliseconds(50)});
  ASSERT_TRUE(newer) << newer.error().message;
  EXPECT_EQ(newer->kind, ledger::ClaimResult::Kind::kClaimed);
  EXPECT_FALSE(zombie.Exec("commit"));
}

// Anyone may write to a topic: a message that names another lane than the task's must not run beside that
// lane.
TEST_F(PageTest, ATaskIsClaimedOnItsOwnLaneOnly) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=300"));
  Open(Request("chesscom", {"hikaru"}));
  const auto task = Ready().front();
  LaneId other = task.lane;
  ++other.index;
  auto refused = ledger::ClaimTask(session_, task.id, {.owner = "a", .lane = other});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind, ledger::ClaimResult::Kind::kEnded);
  auto claimed = ledger::ClaimTask(session_, task.id, {.owner = "a", .lane = task.lane});
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->kind, ledger::ClaimResult::Kind::kClaimed);
  EXPECT_GE(claimed->task->epoch.value, 1);
}

TEST_F(PageTest, ATaskThatCrashesItsWorkerThreeTimesIsPoison) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=300"));
  Open(Request("chesscom", {"hikaru"}));
  const TaskId task = Ready().front().id;
  for (const char* owner : {"a", "b", "c"}) {
    auto claim = ledger::ClaimTask(session_, task, {.owner = owner});
    ASSERT_TRUE(claim);
    const bool last = owner[0] == 'c';
    EXPECT_EQ(claim->kind, last ? ledger::ClaimResult::Kind::kSuspect : ledger::ClaimResult::Kind::kClaimed);
    if (!last) continue;
    // Its last try is to be alone, whoever makes it, and is none before it is.
    EXPECT_EQ(Text("select state || crashes || coalesce(owner, '-') from weir.tasks where id = " +
                   std::to_string(task.value)),
              "dispatched2-");
    claim = ledger::ClaimTask(session_, task, {.owner = "x"});
    EXPECT_EQ(claim->kind, ledger::ClaimResult::Kind::kSuspect);
    claim = ledger::ClaimTask(session_, task, {.owner = owner, .alone = true});
    EXPECT_EQ(claim->kind, ledger::ClaimResult::Kind::kClaimed);
  }
  auto fourth = ledger::ClaimTask(session_, task, {.owner = "d"});
  ASSERT_TRUE(fourth);
  EXPECT_EQ(fourth->kind, ledger::ClaimResult::Kind::kPoison);
  EXPECT_EQ(Text("select state || error_class from weir.tasks where id = " + std::to_string(task.value)),
            "deadpoison");
}

TEST_F(PageTest, PoisonRecordsAreRejectedAloneAndTheRestIsKept) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=400"));
  ASSERT_TRUE(upstream_.SetFaults(
      R"({"rules":[{"match":"/api/games/user","action":"poison","records":["all"],"at":37,"times":1}]})"));
  const auto status = Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(status.state, "succeeded");
  EXPECT_GT(status.totals.rejected, 4);
  ExpectSums(status.totals);
  EXPECT_EQ(std::to_string(status.totals.rejected), Text("select count(*) from weir.rejects"));
  EXPECT_EQ(Text("select count(*) from weir.rejects where reason = ''"), "0");
  ExpectEqualsUpstream("lichess", "alice");
}

// A column NOT NULL that somebody added: nothing can be stored, so nothing counts as read.
TEST_F(PageTest, APageOfWhichNothingCouldBeStoredIsDeadAndReadWholeOnceMended) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=120"));
  ASSERT_TRUE(session_.Script("alter table lichess.games add owner text not null"));
  const auto failed = Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(failed.state, "partial") << "records came, and were rejected";
  ASSERT_EQ(failed.accounts.size(), 1U);
  EXPECT_EQ(failed.accounts[0].error_class, "invalid");
  EXPECT_EQ(failed.totals.inserted, 0);
  EXPECT_EQ(failed.totals.rejected, 120);
  EXPECT_EQ(Text("select count(*) from weir.rejects"), "120");
  EXPECT_EQ(Text("select count(*) from weir.read_ranges"), "0");
  ExpectSums(failed.totals);
  ASSERT_TRUE(session_.Script("alter table lichess.games drop owner"));
  ASSERT_TRUE(ledger::Replay(session_, {.job = failed.id}, {}));
  Worker worker(this, "worker-b");
  const auto mended = Finish(worker, failed.id);
  EXPECT_EQ(mended.state, "succeeded");
  EXPECT_EQ(mended.totals.inserted, 120);
  EXPECT_EQ(mended.totals.rejected, 0);
  EXPECT_EQ(mended.totals.fetched, 120) << "what was rejected counts once, as what became of it";
  EXPECT_EQ(Text("select count(*) from weir.rejects"), "0");
  ExpectSums(mended.totals);
  ExpectEqualsUpstream("lichess", "alice");
}

// Weir's own tables may refuse a page's end: no game is to blame.
TEST_F(PageTest, AnEndThatTheDatabaseRefusesRejectsNoRecord) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=120"));
  ASSERT_TRUE(session_.Script("alter table weir.archives add check (etag = 'never')"));
  const auto status = Sync(Request("chesscom", {"hikaru"}));
  EXPECT_EQ(status.state, "partial") << "the games before the end are stored";
  EXPECT_EQ(status.totals.rejected, 0);
  EXPECT_EQ(status.totals.inserted, 120);
  EXPECT_EQ(Text("select sum(crashes) from weir.tasks"), "0");
}

TEST_F(PageTest, OneBadAccountNeverStopsTheOthers) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=150"));
  ASSERT_TRUE(upstream_.AddPlayer("lichess/gone=150;closed"));
  const auto status = Sync(Request("lichess", {"nobody", "gone", "alice"}));
  EXPECT_EQ(status.state, "partial");
  ASSERT_EQ(status.accounts.size(), 3U);
  EXPECT_EQ(status.accounts[0].state, "failed");
  EXPECT_EQ(status.accounts[0].error_class, "gone");
  EXPECT_FALSE(status.accounts[0].error_hint.empty());
  EXPECT_EQ(status.accounts[1].state, "failed");
  EXPECT_EQ(status.accounts[2].state, "succeeded");
  ExpectEqualsUpstream("lichess", "alice");
}

TEST_F(PageTest, ThrottlingWaitsAndCostsNoAttempt) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=900"));
  ASSERT_TRUE(upstream_.SetFaults(
      R"({"rules":[{"match":"/api/games/user","action":"status","status":429,"retry_after":"0","times":12}]})"));
  const auto status = Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(status.state, "succeeded") << "twelve 429s are more than max_attempts";
  EXPECT_EQ(Text("select sum(attempts) from weir.tasks"), "0");
  ExpectEqualsUpstream("lichess", "alice");
}

TEST_F(PageTest, ServerErrorsAreRetriedAndThenDead) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=600"));
  ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/games/2","nth":1,"action":"status","status":500},
                                               {"match":"/games/2","nth":2,"action":"status","status":503}]})"));
  const auto status = Sync(Request("chesscom", {"hikaru"}));
  EXPECT_EQ(status.state, "succeeded");
  ExpectEqualsUpstream("chesscom", "hikaru");
}

TEST_F(PageTest, ALimitTakesExactlySoManyNewRecordsNewestFirst) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=1000"));
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=1000"));
  for (const std::string source : {"lichess", "chesscom"}) {
    auto request = Request(source, {source == "lichess" ? "alice" : "hikaru"});
    request.filter.limit = 130;
    for (int round = 1; round <= 3; ++round) {
      const auto status = Sync(request);
      EXPECT_EQ(status.state, "succeeded");
      EXPECT_EQ(status.totals.inserted, 130) << source << " round " << round;
    }
    EXPECT_EQ(Text("select count(*) from " + source + ".games"), "390");
  }
  EXPECT_EQ(Text("select count(*) from lichess.games where created_at < (select min(created_at) from (select "
                 "created_at "
                 "from lichess.games order by created_at desc limit 390) t)"),
            "0");
  // A later full sync leaves no hole.
  auto full = Request("lichess", {"alice"});
  full.mode = JobMode::kFull;
  Sync(full);
  ExpectEqualsUpstream("lichess", "alice");
}

TEST_F(PageTest, AnIncrementalSyncAsksOnlyForWhatCanHaveChanged) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=2000"));
  const auto full = Sync(Request("chesscom", {"hikaru"}));
  EXPECT_EQ(full.mode, "full");
  const auto next = Sync(Request("chesscom", {"hikaru"}));
  EXPECT_EQ(next.mode, "incremental") << "incremental after a whole full sync";
  EXPECT_EQ(next.totals.requests, 2) << "the list of months, and the newest month: 304";
  EXPECT_EQ(next.totals.inserted + next.totals.updated, 0);
  EXPECT_GT(full.totals.requests, 5);
}

TEST_F(PageTest, AnOngoingGameIsReadAgainUntilItEnds) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300;ongoing=2"));
  Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(Text("select count(*) from weir.watched"), "2");
  const auto none = Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(none.mode, "incremental");
  EXPECT_EQ(none.totals.unchanged, 2) << "both were asked for, and go on";
  EXPECT_EQ(Text("select count(*) from weir.watched"), "2");
  // One ends, then the other.
  for (const char* left : {"1", "0"}) {
    upstream_.world().players.Alter(sim::Api::kLichess, "alice", [&](sim::Player& alice) {
      const auto goes_on = std::find_if(alice.ongoing.begin(), alice.ongoing.end(),
                                        [](const auto& game) { return game.second == 0; });
      ASSERT_NE(goes_on, alice.ongoing.end());
      goes_on->second = upstream_.world().NowMs();
    });
    const auto one = Sync(Request("lichess", {"alice"}));
    EXPECT_EQ(one.totals.updated, 1);
    EXPECT_EQ(Text("select count(*) from weir.watched"), left);
    ExpectEqualsUpstream("lichess", "alice");
  }
  const auto over = Sync(Request("lichess", {"alice"}));
  EXPECT_EQ(over.totals.fetched, 0) << "a game that has ended is asked for no more";
}

// Invariant 9. Each answer is a part of a page, or none: once, and the second one is whole; or each time.
TEST_F(PageTest, NothingCountsAsReadWithoutProof) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300"));
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=300"));
  config_.max_attempts = 2;
  auto full = Request("lichess", {"alice"}), months = Request("chesscom", {"hikaru"});
  full.mode = months.mode = JobMode::kFull;
  Sync(full);
  Sync(months);
  const std::string game = R"({\"id\":\"aaaaaaaa\",\"createdAt\":1600000000000}\n)";
  const std::vector<std::string> spoilt{
      R"("status":202)",
      R"("status":204)",
      R"("status":206,"body":")" + game + R"(")",
      R"("status":304)",
      R"("status":200,"body":")" + game + R"({\"error\":\"timeout\"}\n")",
      R"("status":200,"body":")" + game + R"(Internal Server Error\n")",
      R"("status":200,"body":"{\"id\":\"x\",\"error\":\"timeout\"}\n")",
      R"("status":200,"body":"{\"id\":\"aaaaaaaa\",\"createdAt\":1100000000000}\n{\"id\":\"b\",\"createdAt\":1}\n")",
      R"("status":200,"body":"{\"message\":\"An internal error has occurred\",\"code\":0}")",
  };
  for (const std::string& answer : spoilt) {
    for (const std::string times : {R"("times":1,)", ""}) {
      ASSERT_TRUE(session_.Script("delete from weir.read_ranges; delete from weir.archives"));
      ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/api/games/user","action":"status",)" + times +
                                      answer + R"(},{"match":"hikaru/games/2","action":"status",)" + times +
                                      answer + "}]}"));
      const std::string state = times.empty() ? "failed" : "succeeded";
      EXPECT_EQ(Sync(full).state, state)
          << answer
          << Text("select string_agg(distinct error_message, '; ') from weir.tasks where state = 'dead'");
      EXPECT_EQ(Sync(months).state, state) << answer;
      EXPECT_EQ(Text("select count(*) from weir.read_ranges"), times.empty() ? "0" : "1") << answer;
      EXPECT_EQ(Text("select exists (select from weir.archives where complete)"), times.empty() ? "f" : "t")
          << answer;
      EXPECT_EQ(Text("select count(*) from lichess.games where stale_at is not null"), "0") << answer;
      EXPECT_EQ(Text("select count(*) from chesscom.games where stale_at is not null"), "0") << answer;
    }
  }
}

// Nothing rests on the upstream's estimate, but for a warning.
TEST_F(PageTest, TheUpstreamsEstimateIsKeptOfAFullSync) {
  ASSERT_TRUE(upstream_.AddPlayer("lichess/alice=300;count_off=500"));
  auto request = Request("lichess", {"alice"});
  request.mode = JobMode::kFull;
  const auto status = Sync(request);
  EXPECT_EQ(status.state, "succeeded");
  ASSERT_EQ(status.accounts.size(), 1U);
  EXPECT_EQ(status.accounts[0].estimate, 800);
  EXPECT_TRUE(status.accounts[0].FallsShort());
  request.mode = JobMode::kIncremental;
  EXPECT_FALSE(Sync(request).accounts[0].estimate);
}

}  // namespace
}  // namespace weir::testing
