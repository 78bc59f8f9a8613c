#pragma once

// The worker's side of the ledger: claim, advance, end (DESIGN §4). Every write names the epoch of the claim.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/selector.h"
#include "common/pg/session.h"
#include "common/sources/source.h"

namespace weir::ledger {

// What a task's dead letter tells of the message that it was delivered with: for the ledger, where the leader
// finds it (common/ledger/dead_letters.h).
struct Letter {
  std::string message;  // as it came
  std::string from;     // "topic/partition/offset"
};

// A claimed task, as it stands in the ledger.
struct ClaimedTask {
  TaskId id;
  JobId job;
  Epoch epoch;
  LaneId lane;
  std::string source, stream, account, account_canonical, account_memo;
  JobMode mode = JobMode::kFull;
  Filter filter;
  Selector selector;
  std::optional<std::int64_t> budget;
  std::optional<ArchiveState> archive;
  bool empty_at_start = false;  // the table held nothing of the account when it was planned
  std::int64_t job_now_ms = 0;
  std::string traceparent;
  int attempts = 0;
  std::int64_t page = 0;
  std::int64_t position = 0;
  std::int64_t digest = 0;
  std::int64_t inserted = 0;                 // by this task, committed before this claim
  int lanes = 1;                             // of its meter, when the job was opened
  std::int64_t requests = 0;                 // sent for it before this claim
  std::string last_error_class, last_error;  // why it was parked last; may be long past
  Letter letter;
};

struct ClaimResult {
  enum class Kind {
    kClaimed,
    kEnded,   // done, dead, cancelled, expired or unknown: the message is of no more use
    kParked,  // not due: the dispatcher will send it again
    // Its worker died once less than is allowed: its last try is to be alone, so that only one who is the
    // cause can die of it. Not claimed; ask again with ClaimOptions::alone.
    kSuspect,
    kPoison,  // crashed its worker too often; it is dead now
  } kind = Kind::kEnded;
  std::optional<ClaimedTask> task;
  std::string reason;
};

struct ClaimOptions {
  std::string owner;
  int max_crashes = 3;
  bool alone = false;  // nothing else runs in the caller's process
  // The lane that the message names, under whose lease the caller works. A task of another lane is not
  // claimed: anyone may write to a topic, and its request would run beside that lane's own.
  std::optional<LaneId> lane = std::nullopt;
  Letter letter{};  // kept should the task be dead
  // An older epoch's transaction that holds the row longer than this is ended with its backend (DESIGN §4.2).
  std::chrono::milliseconds lock_timeout{2'000};
};

// Raises the epoch by a random step and takes the task. The commit does not wait for the disk: should a crash
// of the database lose the claim, the next one gets another epoch (docs/adr/0004).
Result<ClaimResult> ClaimTask(pg::Session& session, TaskId id, const ClaimOptions& options);

// What one batch adds to the task's row.
struct Advance {
  std::int64_t page = 0;  // new committed position
  std::int64_t position = 0;
  std::int64_t digest = 0;
  std::int64_t pages = 0;  // counters to add
  std::int64_t fetched = 0;
  std::int64_t inserted = 0;
  std::int64_t updated = 0;
  std::int64_t unchanged = 0;
  std::int64_t rejected = 0;
  std::int64_t duplicates = 0;
  std::int64_t requests = 0;
  std::int64_t busy_ms = 0;
  bool done = false;                        // the task ends with this batch
  std::optional<std::string> quoted_key{};  // the selector's key from now on, as an SQL literal
};

// Prepares what FenceSql and GuardSql execute, on the session that is to run them.
Result<void> PrepareFence(pg::Session& session);
// The fence: the first statement of every batch's transaction (one line of SQL).
std::string FenceSql(const ClaimedTask& task, const Advance& advance);

// Fails the transaction (22012) when the fence did nothing. Stands before every statement that is not a COPY:
// a string without COPY runs to its commit before anyone can look at the fence's tag.
std::string GuardSql(const ClaimedTask& task);

// The statements that end a page, for the same transaction as its last batch. `session` only quotes.
std::string PageEndSql(const pg::Session& session, const ClaimedTask& task, const PageEnd& end);
// Notes, for the same transaction, why the job may have missed records; the first doubt of a task is kept.
std::string DoubtSql(const pg::Session& session, const ClaimedTask& task, const std::string& doubt);
std::string WatchSql(const pg::Session& session, const ClaimedTask& task,
                     const std::vector<std::string>& watch, const std::vector<std::string>& unwatch);

struct Reject {
  std::int64_t page = 0;
  std::int64_t position = 0;
  std::string record_id;  // may be empty
  std::string reason;
  std::string body_start;  // ≤ 4 KiB
};
std::string RejectsSql(const pg::Session& session, const ClaimedTask& task,
                       const std::vector<Reject>& rejects);

// The rows of a plan as COPY text for CopyTaskSql(), appended to `out`. The n-th task goes to lane n modulo
// `lanes`.
std::string CopyTaskSql();
void AppendTaskCopy(std::string& out, const ClaimedTask& discover, int lane, const NewTask& task);
// Notes what is known of the account in the discover task's transaction: that its plan is whole, and, with
// its first discover task, whether the table held nothing of it.
struct PlanNote {
  bool whole = true;
  std::optional<bool> empty_at_start;
  std::optional<std::int64_t> total = std::nullopt;     // Source::TotalIn
  std::optional<std::int64_t> estimate = std::nullopt;  // Source::EstimateIn
};
std::string PlannedSql(const pg::Session& session, const ClaimedTask& discover, const PlanNote& note);
// Notes, for the discover task's transaction, that the account's sync began no later than then by its
// upstream's clock (Unix milliseconds): the next incremental sync reads what changed since.
std::string BeganSql(const pg::Session& session, const ClaimedTask& discover, std::int64_t upstream_ms);

struct Effort {
  std::int64_t requests = 0;
  std::int64_t busy_ms = 0;
  // Sent for the task in all, as far as its worker knows: no less is noted by who ends the claim, since what
  // a failed batch was to note is lost.
  std::int64_t sent = 0;
};

// Errors of all below: kFenced when a newer epoch owns the task.
// Back to the ledger until `wait` from now; `count_attempt` for failures that count.
Result<void> ParkTask(pg::Session& session, const ClaimedTask& task, std::chrono::milliseconds wait,
                      bool count_attempt, const std::optional<Error>& error, const Effort& effort);
// Dead with its reason, its dead letter due. kAuth and kSchema end the account's other open tasks of this job
// too.
Result<void> KillTask(pg::Session& session, const ClaimedTask& task, const Error& error,
                      const std::string& request, const std::string& head, const Effort& effort);
// Gives the claim back unharmed (shutdown, rebalance): no attempt, no crash is counted.
Result<void> YieldTask(pg::Session& session, const ClaimedTask& task, const Effort& effort);

// Delivered tasks of a lane that must wait: planned again, so that their offsets need not wait
// with them. The epoch goes up: who sent the message may not have marked it yet, and then must not.
struct ReturnedTask {
  TaskId id;
  Epoch claimed{};  // whoever gives it back has claimed it so, and stopped; 0 = has not
};
Result<void> ReturnTasks(pg::Session& session, const std::vector<ReturnedTask>& tasks);

// True when the table holds no row of the account.
Result<bool> TableIsEmpty(pg::Session& session, const TableSpec& table, const std::string& account);
Result<void> SaveCanonicalName(pg::Session& session, const ClaimedTask& task, const std::string& canonical);
// Remembers AskAgain::memo for the account.
Result<void> SaveMemo(pg::Session& session, const ClaimedTask& task, const std::string& memo);
Result<AccountState> LoadAccountState(pg::Session& session, const ClaimedTask& task);

}  // namespace weir::ledger
