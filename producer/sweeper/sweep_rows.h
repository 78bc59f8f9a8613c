#pragma once

// The SQL of a sweep: what a full job of an account rests on, and the rows it did not meet. All of it runs in
// a transaction of the caller's; marking, under SweepLockKey.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"
#include "common/sources/source.h"
#include "producer/sweeper/sweep_rule.h"

namespace weir {

// A full job of one account, with the expired jobs whose work it went on with.
struct SweepBasis {
  JobId job;
  std::string source, stream, account;
  std::string state, sweep, sweep_reason;  // of weir.job_accounts
  std::string began_at;                    // PostgreSQL's text of the time
  const StreamInfo* info = nullptr;        // null: a stream that this program does not know
  std::optional<std::int64_t> since_ms, until_ms;
  std::int64_t now_ms = 0;      // of the first job: nothing later was asked for
  bool empty_at_start = false;  // when it was planned the account had no row at all
  SweepFacts facts;             // without live and to_mark
};

// Locks the account's row of the job. Nothing when there is none.
Result<std::optional<SweepBasis>> LoadSweepBasis(pg::Session& session, JobId job, const std::string& account);

// True when the account has no row that is not stale.
Result<bool> NothingToSweep(pg::Session& session, const SweepBasis& basis);

struct SweepGone {
  std::int64_t to_mark = 0;
  std::string digest;  // of the ids to mark
};
// What every sweep needs, and all that one needs which finds nothing.
Result<SweepGone> CountGone(pg::Session& session, const SweepBasis& basis);

struct SweepCount {
  SweepGone gone;
  std::int64_t live = 0;  // rows that the sweep is about, those to mark among them
  std::int64_t met = 0;   // different ids
};
Result<SweepCount> CountSweep(pg::Session& session, const SweepBasis& basis);
// Returns how many it marked.
Result<std::int64_t> MarkSweep(pg::Session& session, const SweepBasis& basis);

struct SweepSample {
  std::string id, first_seen_at, updated_at;  // RFC 3339
};
// Some of the rows to mark, the longest known first.
Result<std::vector<SweepSample>> SampleSweep(pg::Session& session, const SweepBasis& basis, int limit);

// What the statements above need at the transaction's start. A wrong guess of how much was met must not make
// a nested loop of it; where there is no other plan, its made-up cost must not have it compiled.
inline constexpr std::string_view kSweepSettings =
    "set local enable_nestloop = off; set local jit = off; set local work_mem = '32MB'; "
    "set local synchronous_commit = on";

}  // namespace weir
