// A database that does not take what was read, or is not as weir made it: what the upstream is asked
// meanwhile, what the ledger says, and how it ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "common/ledger/failures.h"
#include "common/ledger/lane_list.h"
#include "tests/integration/worker_fixture.h"

namespace weir::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class DatabaseTest : public WorkerFixture {
 protected:
  void SetUp() override { ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=300")); }

  std::int64_t Number(const std::string& sql) { return std::stoll(Text(sql)); }
  // What every insert into the table runs into.
  void Raise(const std::string& sqlstate, const std::string& message,
             const std::string& when = "before insert") {
    Text(
        "create or replace function public.raises() returns trigger language plpgsql as $f$begin raise "
        "exception "
        "using errcode = '" +
        sqlstate + "', message = '" + message + "'; end$f$");
    Text("create trigger raises " + when +
         " on chesscom.games for each row execute function public.raises()");
  }
  void RaiseNoMore() { Text("drop trigger raises on chesscom.games"); }
  // The job's plan is made; its pages are ready.
  JobId Planned(Worker& worker) {
    const JobId job = Open(Request("chesscom", {"hikaru"}));
    for (const auto& task : Ready()) worker.Deliver(task);
    while (worker.scheduler.Queued() > 0) worker.RunOnce();
    return job;
  }
  // Delivers what is ready, as if no lane and no task had to wait any more, and runs each once.
  void Turn(Worker& worker) {
    Text("update weir.tasks set not_before = now() - interval '1 s' where state = 'parked'");
    Text("update weir.lanes set not_before = null");
    for (const auto& task : Ready()) worker.Deliver(task);
    const std::size_t queued = worker.scheduler.Queued();
    for (std::size_t ran = 0; ran < queued && worker.scheduler.Queued() > 0; ++ran) worker.RunOnce();
  }
  // Requests that reached the upstream: for pages, and all.
  std::int64_t Asked() { return upstream_.world().traffic.Classes()["chesscom.month"].requests; }
  std::int64_t AskedInAll() {
    std::int64_t all = 0;
    for (const auto& [name, of] : upstream_.world().traffic.Classes()) all += of.requests;
    return all;
  }
  ledger::JobStatus Status(JobId job) { return *ledger::GetJob(session_, job); }
};

TEST_F(DatabaseTest, NoPageIsAskedForBeforeTheDatabaseTakesAWrite) {
  gate_pauses_ = {milliseconds(0), milliseconds(0), milliseconds(0)};
  Worker worker(this, "a");
  const JobId job = Planned(worker);
  Raise("53100", "could not extend file: No space left on device");
  Turn(worker);
  const std::int64_t asked = Asked();
  ASSERT_GE(asked, 1);
  // Each turn tries the table; the upstream hears nothing of it.
  for (int i = 0; i < 20; ++i) Turn(worker);
  EXPECT_EQ(Asked(), asked);
  EXPECT_EQ(Number("select sum(attempts) from weir.tasks"), 0) << "an outage costs no attempt";
  EXPECT_EQ(Number("select count(*) from weir.tasks where state = 'dead'"), 0);
  RaiseNoMore();
  const auto status = Finish(worker, job);
  EXPECT_EQ(status.state, "succeeded");
  EXPECT_EQ(status.totals.inserted, 300);
  EXPECT_EQ(status.totals.requests, AskedInAll()) << "what came to nothing is counted, too";
  ExpectEqualsUpstream("chesscom", "hikaru");
}

TEST_F(DatabaseTest, TheLedgerSaysWhatThePagesWaitFor) {
  Worker worker(this, "a");
  const JobId job = Planned(worker);
  Raise("53100", "No space left on device");
  Turn(worker);
  const auto status = Status(job);
  EXPECT_EQ(status.accounts[0].waiting_for, "database");
  EXPECT_THAT(status.accounts[0].waiting_reason, HasSubstr("No space left on device"));
  const auto lanes = ledger::ListLanes(session_, "");
  ASSERT_TRUE(lanes);
  EXPECT_EQ(lanes->front().waiting_for, "database");
  EXPECT_THAT(lanes->front().waiting_reason, HasSubstr("No space left on device"));
  EXPECT_GT(lanes->front().waiting_ms, 3'000);
  const auto waits = ledger::ListDatabaseWaits(session_);
  ASSERT_TRUE(waits);
  EXPECT_EQ(waits->lanes, 1);
  EXPECT_THAT(waits->reason, HasSubstr("No space left on device"));
  EXPECT_EQ(status.totals.requests, AskedInAll());
}

TEST_F(DatabaseTest, AnotherWorkerTriesTheTableBeforeItAsks) {
  gate_pauses_ = {milliseconds(0), milliseconds(0), milliseconds(0)};
  Worker first(this, "a");
  Planned(first);
  Raise("53100", "No space left on device");
  gate_pauses_ = {};
  Worker longer(this, "c");  // parks at once
  Turn(longer);
  const std::int64_t asked = Asked();
  ASSERT_TRUE(longer.keeper.ReleaseAll(session_));
  ASSERT_TRUE(first.keeper.ReleaseAll(session_));
  Text("delete from weir.tasks where state <> 'parked'");  // one that has not failed says nothing
  Worker second(this, "b");
  Turn(second);
  EXPECT_EQ(Asked(), asked);
}

// A trigger that raises 40001 for ever: the batch is written once more, and then the page is not asked for
// again before the database takes a write.
TEST_F(DatabaseTest, ContentionThatLastsAsksForNoPageAgain) {
  gate_pauses_ = {milliseconds(0), milliseconds(0), milliseconds(0)};
  for (const char* sqlstate : {"40001", "55P03"}) {
    Worker worker(this, std::string("a") + sqlstate);
    const JobId job = Planned(worker);
    Raise(sqlstate, "others are at the same rows");
    const std::int64_t before = Asked();
    Turn(worker);
    const std::int64_t asked = Asked();
    EXPECT_EQ(asked, before + 1) << sqlstate;
    for (int i = 0; i < 6; ++i) Turn(worker);
    EXPECT_EQ(Asked(), asked) << sqlstate;
    RaiseNoMore();
    EXPECT_EQ(Finish(worker, job).state, "succeeded");
    ASSERT_TRUE(worker.keeper.ReleaseAll(session_));
    Text("truncate chesscom.games");
    Text("delete from weir.accounts");
    ASSERT_TRUE(upstream_.AddPlayer("chesscom/hikaru=300"));
  }
}

TEST_F(DatabaseTest, ContentionThatPassesCostsNoRequest) {
  Text("create sequence public.tries");
  Text(
      "create function public.once() returns trigger language plpgsql as $f$begin if nextval('public.tries') "
      "= 1 then raise exception using errcode = '40P01', message = 'deadlock detected'; end if; return new; "
      "end$f$");
  Text("create trigger once before insert on chesscom.games for each row execute function public.once()");
  Worker worker(this, "a");
  const JobId job = Planned(worker);
  const auto status = Finish(worker, job);
  EXPECT_EQ(status.state, "succeeded");
  EXPECT_EQ(status.totals.inserted, 300);
  EXPECT_EQ(status.totals.requests, AskedInAll());
  EXPECT_EQ(Asked(), status.accounts[0].finished_tasks) << "each page was asked for once";
}

// The trial's row goes in, the page's rows do not.
TEST_F(DatabaseTest, NoLaneTriesBetweenAPagesFailureAndTheClosingOfTheGate) {
  struct Spy final : Clock {
    milliseconds Boot() const override {
      const milliseconds now = clock.Boot();
      if (look && asked() > 0 && gate->Ask("chesscom.games", now).way == worker::WriteGate::Way::kTry) {
        ++tries;
        gate->Left("chesscom.games");
      }
      return now;
    }
    std::int64_t UnixMillis() const override { return clock.UnixMillis(); }
    SystemClock clock;
    worker::WriteGate* gate = nullptr;
    std::function<std::int64_t()> asked;
    bool look = false;
    mutable int tries = 0;
  } spy;
  runner_clock_ = &spy;
  gate_pauses_ = {milliseconds(60'000), milliseconds(60'000), milliseconds(60'000)};
  Worker worker(this, "a");
  Planned(worker);
  Raise("53100", "No space left on device", "before insert");
  RaiseNoMore();
  Text(
      "create trigger raises before insert on chesscom.games for each row when (new.account <> '') execute "
      "function public.raises()");
  worker.gate.Suspect("chesscom.games", MakeError(ErrorClass::kDatabase, "as the ledger says"));
  spy.gate = &worker.gate;
  const std::int64_t before = Asked();
  spy.asked = [&] { return Asked() - before; };
  spy.look = true;
  Turn(worker);
  spy.look = false;
  EXPECT_EQ(Asked(), before + 1);
  EXPECT_EQ(spy.tries, 0);
  EXPECT_EQ(worker.gate.Ask("chesscom.games", clock_.Boot()).way, worker::WriteGate::Way::kWait);
}

// Inserts fail; what another account's pages bring is stored already.
TEST_F(DatabaseTest, PagesWithNothingNewDoNotShortenThePause) {
  gate_pauses_ = {milliseconds(1), milliseconds(1), milliseconds(60'000)};
  ASSERT_EQ(Sync(Request("chesscom", {"hikaru"})).state, "succeeded");
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/anna=300"));
  Worker worker(this, "b");
  auto again = Request("chesscom", {"hikaru"});
  again.mode = JobMode::kFull;
  Open(again);
  Open(Request("chesscom", {"anna"}));
  for (const auto& task : Ready()) worker.Deliver(task);
  while (worker.scheduler.Queued() > 0) worker.RunOnce();
  Raise("53100", "No space left on device");
  RaiseNoMore();
  Text(
      "create trigger raises before insert on chesscom.games for each row when (new.account <> '') execute "
      "function public.raises()");
  // Page after page of both accounts, in turns, each as soon as its pause is over.
  std::int64_t longest = 0;
  for (int i = 0; i < 60 && longest < 8; ++i) {
    const auto until = worker.gate.Ask("chesscom.games", milliseconds(0)).wait;
    longest = std::max(longest, (until - clock_.Boot()).count());
    while (clock_.Boot() < until) {
    }
    if (worker.scheduler.Queued() == 0) {
      Text("update weir.tasks set not_before = now() - interval '1 s' where state = 'parked'");
      Text("update weir.lanes set not_before = null");
      for (const auto& task : Ready()) worker.Deliver(task);
    }
    worker.RunOnce();
  }
  EXPECT_GE(longest, 8) << "it doubled at least three times";
}

// A trigger or a constraint that takes no record at all.
TEST_F(DatabaseTest, ATriggerThatRefusesEveryRecordEndsTheAccountAfterTwoPages) {
  for (const char* sqlstate : {"P0001", "23514"}) {
    Worker worker(this, std::string("a") + sqlstate);
    const JobId job = Planned(worker);
    Raise(sqlstate, "nothing may be stored");
    const std::int64_t before = Asked();
    const auto status = Finish(worker, job);
    // Its first months have few games: so many records tell that no single one is at fault.
    EXPECT_LE(Asked(), before + 4) << sqlstate;
    EXPECT_GT(
        Number("select count(*) from weir.tasks where kind <> 0 and job_id = " + std::to_string(job.value)),
        20)
        << "there are many more pages";
    EXPECT_EQ(status.state, "failed");
    const auto& account = status.accounts[0];
    EXPECT_EQ(account.error_class, "schema");
    EXPECT_THAT(account.error_message, HasSubstr("chesscom.games"));
    EXPECT_THAT(account.error_message, HasSubstr("nothing may be stored"));
    EXPECT_THAT(account.error_message, HasSubstr(sqlstate));
    EXPECT_THAT(account.error_hint, HasSubstr("weir replay " + std::to_string(job.value)));
    EXPECT_GT(Number("select count(*) from weir.rejects"), 0) << "what was read is kept";
    RaiseNoMore();
    ASSERT_TRUE(worker.keeper.ReleaseAll(session_));
  }
}

TEST_F(DatabaseTest, ALostColumnEndsTheAccountWithWhatAndWhere) {
  Worker worker(this, "a");
  const JobId job = Planned(worker);
  Text("alter table chesscom.games drop column pgn");
  Turn(worker);
  EXPECT_LE(Asked(), 1) << "no other page is asked for in vain";
  EndJobs();
  const auto status = Status(job);
  EXPECT_EQ(status.state, "failed");
  const auto& account = status.accounts[0];
  EXPECT_EQ(account.error_class, "schema");
  EXPECT_THAT(account.error_message, HasSubstr("chesscom.games"));
  EXPECT_THAT(account.error_message, HasSubstr("pgn"));
  EXPECT_THAT(account.error_message, HasSubstr("42703"));
  EXPECT_THAT(account.error_hint, HasSubstr("weir replay " + std::to_string(job.value)));
  EXPECT_EQ(Number("select count(*) from weir.lanes where not_before > clock_timestamp() + interval '2 s'"),
            0)
      << "the lane is free";
  // Mended and replayed, it goes on.
  Text("alter table chesscom.games add column pgn text");
  ledger::FailureFilter filter;
  filter.job = job;
  ASSERT_TRUE(ledger::Replay(session_, filter, {}));
  const auto mended = Finish(worker, job);
  EXPECT_EQ(mended.state, "succeeded");
  EXPECT_EQ(mended.totals.inserted, 300);
}

TEST_F(DatabaseTest, TheNextAccountOfARefusedTableIsNotAskedFor) {
  ASSERT_TRUE(upstream_.AddPlayer("chesscom/anna=300"));
  Worker worker(this, "a");
  Planned(worker);
  const JobId other = Open(Request("chesscom", {"anna"}));
  Text("alter table chesscom.games enable row level security");
  Text("alter table chesscom.games drop column pgn");
  Turn(worker);
  const std::int64_t asked = Asked();
  Turn(worker);
  EXPECT_EQ(Asked(), asked);
  EndJobs();
  EXPECT_EQ(Status(other).accounts[0].error_class, "schema");
}

// XX000 and the like: neither an outage nor a refusal that is known.
TEST_F(DatabaseTest, WhatNobodyKnowsIsTriedAFewTimesAndThenDead) {
  gate_pauses_ = {milliseconds(0), milliseconds(0), milliseconds(0)};
  config_.max_attempts = 3;
  Worker worker(this, "a");
  const JobId job = Planned(worker);
  Raise("XX001", "invalid page in block 7");
  const auto status = Finish(worker, job);
  EXPECT_EQ(status.state, "failed");
  EXPECT_EQ(status.accounts[0].error_class, "database");
  EXPECT_THAT(status.accounts[0].error_message, HasSubstr("invalid page in block 7"));
}

// A trigger may refuse one record: that one is rejected, the rest is kept.
TEST_F(DatabaseTest, ARecordThatATriggerRefusesIsRejectedAlone) {
  Text(
      "create function public.raises() returns trigger language plpgsql as $f$begin "
      "if new.id = (select min(id) from public.unwanted) then raise exception 'not this one'; end if; return "
      "new; end$f$");
  Text("create table public.unwanted (id text)");
  const auto before = Sync(Request("chesscom", {"hikaru"}));
  ASSERT_EQ(before.totals.inserted, 300);
  Text("insert into public.unwanted select id from chesscom.games order by id limit 1");
  Text("truncate chesscom.games");
  Text("create trigger raises before insert on chesscom.games for each row execute function public.raises()");
  auto request = Request("chesscom", {"hikaru"});
  request.mode = JobMode::kFull;
  const auto status = Sync(request);
  EXPECT_EQ(status.totals.inserted, 299);
  EXPECT_EQ(status.totals.rejected, 1);
  EXPECT_THAT(Text("select reason from weir.rejects"), HasSubstr("not this one"));
}

// What went wrong may hold anything; a task must end all the same.
TEST_F(DatabaseTest, ADeathThatTheLedgerDoesNotTakeAsItIsIsWrittenPlainly) {
  Worker worker(this, "a");
  const JobId job = Planned(worker);
  ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/games/2","action":"status","status":400}]})"));
  Text("alter table weir.tasks add check (state <> 'dead' or error_body is null)");
  const auto status = Finish(worker, job);
  EXPECT_EQ(status.state, "failed");
  EXPECT_THAT(status.accounts[0].error_message, HasSubstr("cannot be written down"));
}

TEST_F(DatabaseTest, ADeathThatIsNotWrittenIsTriedAgainAndNotForgotten) {
  Worker worker(this, "a");
  Planned(worker);
  ASSERT_TRUE(upstream_.SetFaults(R"({"rules":[{"match":"/games/2","action":"status","status":400}]})"));
  Text(
      "create function public.no_death() returns trigger language plpgsql as $f$begin raise exception using "
      "errcode = "
      "'42501', message = 'no death here'; end$f$");
  Text(
      "create trigger no_death before update on weir.tasks for each row when (new.state = 'dead') execute "
      "function "
      "public.no_death()");
  const auto ready = Ready();
  ASSERT_FALSE(ready.empty());
  worker.finished.TakeAll();
  worker.Deliver(ready[0]);
  worker.RunOnce();
  EXPECT_EQ(worker.finished.TakeAll().size(), 0u) << "its offset may not be stored";
  EXPECT_EQ(worker.scheduler.Queued(), 1u);
  Text("drop trigger no_death on weir.tasks");
  worker.RunOnce();
  EXPECT_EQ(worker.finished.TakeAll().size(), 1u);
  EXPECT_EQ(Text("select state from weir.tasks where id = " + std::to_string(ready[0].id.value)), "dead");
  EXPECT_EQ(Number("select requests from weir.tasks where id = " + std::to_string(ready[0].id.value)), 2)
      << "both of its requests are counted";
}

}  // namespace
}  // namespace weir::testing
