#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/config/account_settings.h"
#include "common/config/config.h"
#include "common/config/value_text.h"
#include "common/http/fetcher.h"
#include "common/ledger/tasks.h"
#include "common/obs/metrics.h"
#include "common/sources/rate_limit.h"
#include "common/sources/record_reader.h"
#include "common/sources/source.h"
#include "worker/batch_writer.h"

namespace weir::worker {

// A lane must wait before its next request.
struct Pause {
  std::chrono::milliseconds wait{0};
  std::string waiting_for;
};

// All that is needed to work on one claimed task. Lives as long as the work.
struct TaskWork {
  ledger::ClaimedTask task;  // position, page and canonical name go forward as they are committed
  const Source* source = nullptr;
  const StreamInfo* stream = nullptr;
  AccountSettings settings;
  ledger::Effort effort;  // since the last commit; who ends the task writes what is left
  StreamMetrics* metrics = nullptr;
  std::vector<QuotaRule> quota;
  std::int64_t requests = 0;            // sent since the lane was charged last
  std::int64_t sent = 0;                // since the claim, and before it where its row does not say so
  std::chrono::milliseconds began{0};   // the first of them, not after
  std::vector<RateWindow> rate_limits;  // what the last answer told
  std::optional<Pause> pause;           // why the work stopped between two pages
  std::optional<Error> refused;         // … because the database takes nothing: what it said
  bool trying = false;                  // this is the page that WriteGate let through
  std::chrono::milliseconds closed{0};  // for how long WriteGate asks nothing since this page's write failed
  // The last answer was read: what the lane waits for since then, and until when (Clock::Boot). The commit
  // takes its time of that.
  std::optional<Pause> answered;
  std::chrono::milliseconds answered_until{0};
  bool freed = false;  // the lane may already be at its next task
  // For `weir failures show`: what was asked last and what came, without secrets.
  std::string last_request, last_head;
  std::int64_t token_generation = 0;    // of the access token in settings.secrets, if its source renews them
  std::optional<std::string> next_key;  // kCursor: the task's next page, when the one just read has one
};

// What its owner decides while a task is worked on.
struct PageHooks {
  AbortCheck abort;  // asked while a transfer runs: lost lease, shutdown
  // After each page but the last; a pause ends the work with kStopped and TaskWork::pause.
  std::function<std::optional<Pause>()> between;
  // Before a request that was refused is sent again; likewise.
  std::function<std::optional<Pause>()> again;
  // Before another request of the same page: where a redirect leads, or the whole page once more. A pause of
  // up to kLongWait is waited for in place, since the page would else begin with the request that was just
  // sent; a longer one ends the work likewise.
  std::function<std::optional<Pause>()> onward;
  // The task's last answer is read whole: it will ask nothing more of the upstream. Not told of a task whose
  // end its source decides (a cursor, a budget).
  std::function<void()> answered;
};

// Reads one page: request → fetch → records → dedupe → write and advance (DESIGN §3), streaming: a full batch
// is committed while the rest of the body is still coming. One executor's; not thread-safe.
class PageProcessor {
 public:
  struct Parts {
    const Config* config;
    const Clock* clock;
    Fetcher* fetcher;
    BatchWriter* writer;
    pg::SessionPool* pool;
    Metrics* metrics;
  };
  explicit PageProcessor(Parts parts) : parts_(parts) {}
  ~PageProcessor();

  // Works until the task is done. On success it is committed as done. Errors: as their class says; what was
  // committed before stays.
  Result<void> Run(TaskWork& work, const PageHooks& hooks);

  class Reading;  // worker/page_reading.h

 private:
  Result<void> RunPage(TaskWork& work, const PageHooks& hooks);
  static Result<void> AskQuota(TaskWork& work, const PageHooks& hooks);
  Result<void> GoOn(TaskWork& work, const PageHooks& hooks);
  std::optional<Error> Check(const PageHooks& hooks);
  Result<void> RunDiscover(TaskWork& work, const PageHooks& hooks);
  Result<void> WritePlan(TaskWork& work, const HttpResponseHead& head, std::string_view document);
  Result<void> FetchPage(TaskWork& work, Reading& reading, const PageHooks& hooks);
  Result<void> RunTask(TaskWork& work, const PageHooks& hooks);
  Result<void> RunPages(TaskWork& work, const PageHooks& hooks);
  Result<void> HaveToken(TaskWork& work, std::optional<std::int64_t> refused);
  Result<void> Remember(TaskWork& work, const AskAgain& again, int times);
  Result<std::string> FollowedTarget(TaskWork& work, const FollowTo& follow, const std::string& from);
  RecordMapper* Mapper(const TaskWork& work);
  void SaveDrift(const TaskWork& work);

  Parts parts_;
  std::string mapper_of_;  // "source/stream" of mapper_
  std::unique_ptr<RecordMapper> mapper_;
  RecordBatch batch_;  // of the task at work
};

// A task's key may hold what an upstream said; in bytes.
inline constexpr std::size_t kMostKeyBytes = 64 << 10;

// What a source may look at, from a task.
TaskContext ContextOf(const TaskWork& work);

}  // namespace weir::worker
