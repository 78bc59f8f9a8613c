#pragma once

// Jobs as users see them: opened, watched, listed, paused, cancelled. Every call is one transaction on the
// session it is given; any thread that owns the session may call.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/base/selector.h"
#include "common/pg/session.h"

namespace weir::ledger {

// The numbers of a job or an account. fetched = inserted + updated + unchanged + rejected + duplicates,
// always.
struct Counters {
  std::int64_t pages = 0;  // responses read to their end
  std::int64_t fetched = 0;
  std::int64_t inserted = 0;
  std::int64_t updated = 0;
  std::int64_t unchanged = 0;
  std::int64_t rejected = 0;
  std::int64_t duplicates = 0;
  std::int64_t dead_pages = 0;
  std::int64_t stale = 0;  // rows that the sweep after it marked
  std::int64_t requests = 0;
  double seconds = 0;

  void Add(const Counters& other);  // all but seconds
};

struct AccountStatus {
  std::string account;
  std::string mode;
  std::string state;
  Counters counters;
  std::int64_t planned_tasks = 0;   // data tasks known so far (discover not counted)
  std::int64_t finished_tasks = 0;  // of them terminal
  bool planned = false;             // its plan is complete: planned_tasks is the whole
  std::string waiting_for;          // "" or what its lane waits for: "throttled", "backoff", "database", …
  std::int64_t waiting_ms = 0;      // for how much longer
  std::string waiting_reason{};     // of "database": what it said last; "" = not known
  std::string error_class, error_message, error_hint;
  std::string incomplete_reason{};  // partial: why what was read is not proven to be all; "" = it is
  std::string sweep, sweep_reason;  // weir.job_accounts.sweep; "" = none follows
  // What the upstream said there is, when asked first and last, and how many different records were met;
  // nothing = not told, not counted.
  std::optional<std::int64_t> total_before{}, total_after{}, met{};
  std::int64_t carried = 0;  // records that the expired jobs it goes on with had fetched
  // About how many records the upstream says there are, where it does not vouch for the number.
  std::optional<std::int64_t> estimate = std::nullopt;

  // It ended well, and yet far fewer records came than the upstream's estimate.
  bool FallsShort() const;
  bool Ended() const { return state != "queued" && state != "running" && state != "paused"; }
};

struct JobStatus {
  JobId id;
  std::string source, stream, mode, state, priority;
  std::string created_at, started_at, finished_at, deadline_at;  // RFC 3339, "" = not
  double seconds = 0;                                            // since it started, to its end
  std::vector<AccountStatus> accounts;                           // as the user listed them
  Counters totals;

  bool Ended() const { return state != "queued" && state != "running" && state != "paused"; }
};

struct JobRequest {
  struct Account {
    std::string key, name;  // Source::AccountKey, and as spelled
    std::string meter;
    int lanes = 1;
  };
  std::string source, stream;
  std::optional<JobMode> mode;  // absent: ModeForAll, or each account's own
  Filter filter;
  std::vector<Account> accounts;  // not empty, keys unique
  std::string priority = "bulk";
  std::optional<std::chrono::milliseconds> deadline;
  // The "now" of its plans; absent: the database's, on which all programs agree. For tests.
  std::optional<std::int64_t> now_ms;
};

// The mode that a request gives to all its accounts: the one asked for, else full when there is a limit. "The
// newest N" is counted against what is stored; an incremental sync asks for what changed, which is another
// thing. Nothing: each account's own, full until a full sync without limit and bounds has read it whole,
// incremental after.
std::optional<JobMode> ModeForAll(const std::optional<JobMode>& asked, const Filter& filter);

struct OpenedJob {
  JobId id;
  bool resumed = false;  // an unfinished job of the same sync was found: this is it
};

// Opens the job, with one discover task an account, or finds the unfinished one of the same fingerprint
// (which becomes interactive when this request is, and may be paused).
Result<OpenedJob> OpenJob(pg::Session& session, const JobRequest& request);

// Errors of all below: kNotFound (no such job), kDatabase.
Result<JobStatus> GetJob(pg::Session& session, JobId id);
// Newest first; `before`: older ones than that job, which need not be there any more.
Result<std::vector<JobStatus>> ListJobs(pg::Session& session, int limit, bool open_only,
                                        std::optional<JobId> before = std::nullopt);
// Open tasks that nobody runs are cancelled at once, running ones at their next batch. kConflict when it has
// ended.
Result<void> CancelJob(pg::Session& session, JobId id);
// A paused job has no task sent or read, until it is resumed; its deadline goes on. Running tasks stop at
// their next batch and go on from there. Pausing a paused job, or resuming one that is not, is fine.
// kConflict when it has ended.
Result<void> PauseJob(pg::Session& session, JobId id);
Result<void> ResumeJob(pg::Session& session, JobId id);

// Workers seen within the last `within`.
Result<std::int64_t> CountLiveWorkers(pg::Session& session, std::chrono::milliseconds within);

struct WorkersMemory {
  std::int64_t workers = 0;
  std::int64_t bytes = 0;    // of all, as they last said
  std::int64_t largest = 0;  // of one
};
// Likewise.
Result<WorkersMemory> LiveWorkersMemory(pg::Session& session, std::chrono::milliseconds within);

}  // namespace weir::ledger
