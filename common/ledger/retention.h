#pragma once

// Deletes what has ended and is old enough, in small batches: each call is one short transaction that waits
// for nobody and that no other work waits for. What tasks that go leave in sums (weir.gone_tasks) keeps the
// job's numbers, and whatever a replay, a next run or a sweep makes of the job, as if they were still there.
// Ages count by the database's clock. Any thread that owns the session may call; one at a time does, the
// leader.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// What goes together, by the time since its job ended.
enum class Part {
  kTasks,     // tasks that nothing may be done with any more: all but those of kFailures
  kFailures,  // dead tasks, tasks with rejected records and these, plans of jobs that did not succeed, and
              // what a next run would take over of an expired job
  kJobs,      // the job, with all that is left of it
};

// Jobs of which that part is due, those that ended first at the front; `age` in ms is counted from their end.
// Not due, however old: an expired job's tasks while the next run of the same sync would take them over
// (kTasks); a job that a held sweep, an open job or the next full sync still looks back at (kJobs).
Result<std::vector<JobId>> JobsDue(pg::Session& session, Part part, std::chrono::milliseconds age, int limit);

// How far the deletion of a job's part has come. Starts as {}.
struct PruneCursor {
  bool rejects_done = false;              // those that go before their tasks
  std::int64_t task = 0;                  // all up to this one were looked at
  std::int64_t page = -1, position = -1;  // rejects of the task after it that are gone
  std::string account{};                  // kJobs: accounts up to this one are gone
};

struct Pruned {
  std::int64_t tasks = 0, rejects = 0, jobs = 0;
  bool done = false;  // there is nothing more to do for the part
  bool busy = false;  // the job stays due: somebody holds its row, or a dead letter of it is not sent yet
};
// One batch. Moves the cursor.
Result<Pruned> PruneJob(pg::Session& session, JobId job, Part part, std::chrono::milliseconds age,
                        PruneCursor& cursor, int batch);

// The others return how many rows they deleted; fewer than `batch` = no more of them for now.
// Messages that were no task, whose dead letter was sent. `after`: "" at first; where the last batch ended.
Result<std::int64_t> PruneGarbage(pg::Session& session, std::chrono::milliseconds age, std::string& after,
                                  int batch);
// Lanes that nobody has used for `age` and no open job needs: those of tokens that were replaced, say.
Result<std::int64_t> PruneLanes(pg::Session& session, std::chrono::milliseconds age, int batch);
// Workers that were not seen for a day: they ended without saying so.
Result<std::int64_t> PruneWorkers(pg::Session& session, int batch);

}  // namespace weir::ledger
