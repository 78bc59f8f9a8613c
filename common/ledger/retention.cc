#include "common/ledger/retention.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/ledger/prune_sql.h"
#include "common/ledger/transaction.h"

namespace weir::ledger {
namespace {

using std::chrono::milliseconds;

// Nobody waits for us, and we wait for nobody: what is locked goes another time. The statistics of a table
// that has just grown or shrunk by a million rows say nothing, so the plan is pinned to the indexes. A batch
// that is lost with the server's machine is deleted again.
constexpr char kSettings[] =
    "set local lock_timeout = '200ms'; set local statement_timeout = '10s'; set local synchronous_commit = "
    "off; "
    "set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_mergejoin = off; "
    "set local enable_hashjoin = off; set local jit = off";

constexpr char kLockTimeout[] = "55P03";
constexpr int kMostRejectTasks = 200;

std::string Text(std::int64_t number) { return std::to_string(number); }

// For update, not `for no key update`: a new job that goes on with this one holds the row by its foreign key.
// What is due is asked for once more under the lock, by a statement that sees what was committed until then.
Result<bool> Hold(pg::Session& session, JobId job, Part part, milliseconds age) {
  auto locked = session.Exec("select from weir.jobs where id = $1::int8 for update skip locked",
                             {Text(job.value)}, "prune_lock");
  if (!locked) return Fail(locked.error());
  if (locked->Empty()) return false;
  auto due = session.Exec(DueSql(part), {Text(age.count()), "1", Text(job.value)},
                          fmt::format("prune_due_{}", static_cast<int>(part)));
  if (!due) return Fail(due.error());
  if (due->Empty()) return false;
  if (part == Part::kTasks) return true;
  auto marked = session.Exec(
      "update weir.jobs set failures_pruned = 'begun' where id = $1::int8 and failures_pruned is null",
      {Text(job.value)}, "prune_begin");
  if (!marked) return Fail(marked.error());
  return true;
}

// Rejects of the next tasks that have some. Those of the page that a dead task stopped at go with the task:
// a replay that found the task and not these would take its page for read.
Result<void> PruneRejects(pg::Session& session, JobId job, PruneCursor& cursor, int batch, Pruned& pruned) {
  auto tasks = session.Exec(kRejectTasksSql, {Text(job.value), Text(cursor.task), Text(kMostRejectTasks)},
                            "prune_reject_tasks");
  if (!tasks) return Fail(tasks.error());
  if (tasks->Empty()) {
    cursor = {.rejects_done = true};
    return {};
  }
  std::vector<std::int64_t> ids, below;
  std::int64_t rejects = 0;
  for (int i = 0; i < tasks->Size() && (i == 0 || rejects + tasks->Int(i, 1) <= batch); ++i) {
    ids.push_back(tasks->Int(i, 0));
    rejects += tasks->Int(i, 1);
    below.push_back(tasks->Int(i, 2));
  }
  auto gone = session.Exec(
      kRejectsSql,
      {pg::ArrayLiteral(ids), pg::ArrayLiteral(below), Text(cursor.page), Text(cursor.position), Text(batch)},
      "prune_rejects");
  if (!gone) return Fail(gone.error());
  pruned.rejects = gone->Int(0, 0);
  if (ids.size() == 1 && pruned.rejects >= batch) {
    cursor.page = gone->Int(0, 1);
    cursor.position = gone->Int(0, 2);
  } else {
    cursor = {.task = ids.back()};
  }
  return {};
}

Result<void> PruneTasks(pg::Session& session, JobId job, Part part, PruneCursor& cursor, int batch,
                        Pruned& pruned) {
  auto rows = session.Exec(TasksSql(part), {Text(job.value), Text(cursor.task), Text(batch)},
                           fmt::format("prune_tasks_{}", static_cast<int>(part)));
  if (!rows) return Fail(rows.error());
  pruned.tasks = rows->Int(0, 2);
  pruned.rejects = rows->Int(0, 3);
  pruned.done = rows->Int(0, 0) == 0;
  cursor.task = std::max(cursor.task, rows->Int(0, 1));
  return {};
}

// A dead letter that was not sent yet keeps its task, and so the part.
Result<void> Mark(pg::Session& session, JobId job, Part part, Pruned& pruned) {
  auto rows = session.Exec(
      part == Part::kTasks ? "update weir.jobs set tasks_pruned = true where id = $1::int8"
                           : "update weir.jobs set failures_pruned = 'done' where id = $1::int8 "
                             "and not exists (select from weir.tasks where letter_due and job_id = $1::int8)",
      {Text(job.value)});
  if (!rows) return Fail(rows.error());
  pruned.busy = rows->Affected() == 0;
  return {};
}

// What is left once its tasks are gone: its accounts, then the row.
Result<void> DropJob(pg::Session& session, JobId job, PruneCursor& cursor, int batch, Pruned& pruned) {
  const std::string id = Text(job.value);
  pruned.done = false;
  auto left = session.Exec("select from weir.tasks where job_id = $1::int8 limit 1", {id});
  if (!left) return Fail(left.error());
  if (!left->Empty()) {
    pruned.done = pruned.busy = true;
    return {};
  }
  auto accounts = session.Exec(kAccountsSql, {id, cursor.account, Text(batch)}, "prune_accounts");
  if (!accounts) return Fail(accounts.error());
  if (accounts->Int(0, 0) > 0) {
    cursor.account = accounts->Text(0, 1);
    return {};
  }
  auto done = session.Exec("update weir.jobs set continues = null where continues = $1::int8", {id});
  if (done) done = session.Exec("delete from weir.jobs where id = $1::int8", {id});
  if (!done) return Fail(done.error());
  pruned.jobs = done->Affected();
  pruned.done = true;
  return {};
}

Result<Pruned> PruneBatch(pg::Session& session, JobId job, Part part, milliseconds age, PruneCursor& cursor,
                          int batch) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin(kSettings); !begun) return Fail(begun.error());
  Pruned pruned;
  auto held = Hold(session, job, part, age);
  if (!held) return Fail(held.error());
  pruned.busy = !*held;
  if (pruned.busy) return pruned;
  PruneCursor next = cursor;
  Result<void> done;
  if (part != Part::kTasks && !next.rejects_done) {
    done = PruneRejects(session, job, next, batch, pruned);
  } else {
    done = PruneTasks(session, job, part, next, batch, pruned);
    if (done && pruned.done) {
      done =
          part == Part::kJobs ? DropJob(session, job, next, batch, pruned) : Mark(session, job, part, pruned);
    }
  }
  if (done) done = transaction.Commit();
  if (!done) return Fail(done.error());
  cursor = std::move(next);
  return pruned;
}

Result<std::int64_t> Affected(Result<pg::Rows> rows) {
  if (!rows) return Fail(rows.error());
  return rows->Affected();
}

}  // namespace

Result<std::vector<JobId>> JobsDue(pg::Session& session, Part part, milliseconds age, int limit) {
  auto rows = session.Exec(DueSql(part), {Text(age.count()), Text(limit), pg::Param()},
                           fmt::format("jobs_due_{}", static_cast<int>(part)));
  if (!rows) return Fail(rows.error());
  std::vector<JobId> jobs;
  for (int i = 0; i < rows->Size(); ++i) jobs.push_back(JobId{rows->Int(i, 0)});
  return jobs;
}

Result<Pruned> PruneJob(pg::Session& session, JobId job, Part part, milliseconds age, PruneCursor& cursor,
                        int batch) {
  auto pruned = PruneBatch(session, job, part, age, cursor, batch);
  if (!pruned && pruned.error().sqlstate == kLockTimeout) return Pruned{.busy = true};
  return pruned;
}

Result<std::int64_t> PruneGarbage(pg::Session& session, milliseconds age, std::string& after, int batch) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin(kSettings); !begun) return Fail(begun.error());
  auto rows =
      session.Exec(kGarbageSql, {Text(age.count()), after.empty() ? "-infinity" : after, Text(batch)});
  if (!rows) return Fail(rows.error());
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  if (rows->Int(0, 0) > 0) after = rows->Text(0, 1);
  return rows->Int(0, 0);
}

// Two statements: who opens a job holds the lanes it finds (HoldLanes), so that what is locked here is needed
// by none but jobs that the second statement sees.
Result<std::int64_t> PruneLanes(pg::Session& session, milliseconds age, int batch) {
  Transaction transaction(session);
  if (auto begun = transaction.Begin("set local lock_timeout = '200ms'; set local statement_timeout = '10s'");
      !begun)
    return Fail(begun.error());
  auto locked = session.Exec(kIdleLanesSql, {Text(age.count()), Text(batch)});
  if (!locked) return Fail(locked.error());
  std::vector<std::string> meters;
  std::vector<std::int64_t> lanes;
  for (int i = 0; i < locked->Size(); ++i) {
    meters.emplace_back(locked->Text(i, 0));
    lanes.push_back(locked->Int(i, 1));
  }
  auto gone = Affected(session.Exec(kLanesSql, {pg::ArrayLiteral(meters), pg::ArrayLiteral(lanes)}));
  if (!gone) return gone;
  if (auto done = transaction.Commit(); !done) return Fail(done.error());
  return gone;
}

Result<std::int64_t> PruneWorkers(pg::Session& session, int batch) {
  return Affected(session.Exec(
      "delete from weir.workers where id in (select id from weir.workers "
      "where seen_at < clock_timestamp() - interval '1 day' limit $1::int for update skip locked)",
      {std::to_string(batch)}));
}

}  // namespace weir::ledger
