#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/ledger/tasks.h"
#include "common/obs/metrics.h"
#include "common/pg/session.h"
#include "common/sources/source.h"
#include "worker/buffer_pool.h"
#include "worker/prepared_batch.h"
#include "worker/record_batch.h"

namespace weir::worker {

// What goes with a batch into its transaction besides its records.
struct WriteTail {
  std::int64_t page = 0;   // position to commit when `page_ends`; else the batch's own
  bool page_ends = false;  // the page is read whole: pages + 1
  bool done = false;       // … and the task with it
  PageEnd end;             // when page_ends
  ledger::Effort effort;   // requests and time since the last batch
};

struct PreparedInfo {
  BatchCounts counts;              // what the batch will count as
  std::int64_t last_order_ms = 0;  // of the last record taken; 0 = none
};

struct WriterOptions {
  int id_set_page = 2000;         // ids looked up at a time
  BufferPool* buffers = nullptr;  // shared with others; none = its own
  Metrics* metrics = nullptr;     // may be none
};

// Writes batches of one task at a time: dedupe by looking up stored hashes, map what is new or changed, and
// commit it with the task's position and counters in one fenced transaction (DESIGN §3 Write, §4.1-2). The
// commit of one batch runs in the server while the next one is read and mapped. One executor's; not
// thread-safe.
//
//   Prepare(batch) → Submit(tail) → … → Await()
class BatchWriter {
 public:
  BatchWriter(pg::SessionPool* pool, WriterOptions options)
      : pool_(pool),
        options_(options),
        buffers_(options.buffers != nullptr ? *options.buffers : own_buffers_),
        inflight_(options.metrics) {}

  // Begins a task. `task`, `stream` and `mapper` outlive its writes. `lookup` false: the table held nothing
  // of the account when it was planned; a unique violation corrects that. What is met of a stream that can be
  // swept is noted with each batch (common/ledger/seen.h).
  void Begin(const ledger::ClaimedTask* task, const StreamInfo* stream, RecordMapper* mapper, bool lookup);
  // Where the time of its commits is counted; may be none.
  void Measure(StreamMetrics* metrics) { measured_ = metrics; }
  // The position in the task's page after which the next batch stands.
  void StartAt(std::int64_t position, std::int64_t digest);

  // Looks up and maps a batch, taking its records (`batch` is empty after). At most `max_new` new records are
  // taken; what stands behind the last of them is dropped. Errors: kDatabase.
  Result<PreparedInfo> Prepare(RecordBatch& batch,
                               std::int64_t max_new = std::numeric_limits<std::int64_t>::max());
  // Sends the prepared batch after the one before it was committed. Errors: kFenced, kDatabase, kStopped.
  Result<void> Submit(WriteTail tail);
  // Waits until all is committed.
  Result<void> Await();
  // Awaits only if that does not wait, so that an idle stream holds no session.
  Result<void> Poll();
  // Drops everything that is not committed (an aborted page).
  void Abandon();

  BufferPool& Buffers() { return buffers_; }

  // What was committed since Begin or the last call.
  BatchCounts TakeCommitted() { return std::exchange(committed_, {}); }
  // Any record was, in that time.
  bool HasCommitted() const { return committed_.fetched > 0; }

 private:
  using Prepared = PreparedBatch;
  struct Flight {
    std::unique_ptr<Prepared> batch;
    WriteTail tail;
    std::chrono::steady_clock::time_point sent;
  };
  void CountCommit(std::chrono::steady_clock::time_point sent) const;

  Result<void> Lookup(Prepared& p);
  Result<void> LookupByTime(pg::Session& session, Prepared& p);
  static std::size_t TakeFound(const pg::Rows& rows, Prepared& p);
  std::string LookupSql(std::string_view where) const;
  Result<void> Encode(Prepared& p);
  std::string Sql(const Prepared& p, const WriteTail& tail) const;
  std::string MetSql(const Prepared& p) const;
  ledger::Advance AdvanceOf(const Prepared& p, const WriteTail& tail) const;
  Result<void> Send(Prepared& p, const WriteTail& tail);
  Result<void> Finish();
  Result<void> WriteAgain(std::unique_ptr<Prepared> p, const WriteTail& tail, Error why);
  Result<void> WriteHalves(Prepared& p, const WriteTail& tail);
  Result<void> WriteWhole(std::unique_ptr<Prepared> p, const WriteTail& tail);
  Result<pg::Session*> OwnSession();

  pg::SessionPool* pool_;
  WriterOptions options_;
  BufferPool own_buffers_;
  BufferPool& buffers_;
  const ledger::ClaimedTask* task_ = nullptr;
  const TableSpec* table_ = nullptr;
  bool notes_met_ = false;
  RecordMapper* mapper_ = nullptr;
  bool lookup_ = true;
  bool by_time_pays_ = true;                       // the task's records stand together in the index by time
  std::optional<pg::SessionPool::Lease> session_;  // held only while a write is in flight
  std::unique_ptr<Prepared> prepared_;             // not yet sent
  std::unique_ptr<Flight> flight_;                 // sent, not yet committed
  std::int64_t position_ = 0, digest_ = 0;         // where the next batch begins
  BatchCounts committed_;
  std::set<const TableSpec*> text_tables_;  // that do not take the binary format of COPY
  StreamMetrics* measured_ = nullptr;
  InflightBytes inflight_;  // prepared or sent
};

// `copy schema.table (account, id, …) from stdin; ` and the column list in order.
std::string CopySql(const TableSpec& table, bool as_text);
// The UPDATE of changed rows from arrays: account, then array literals of id, columns, raw, content_hash
// (quoted). Fails as an insert of a row that is there does unless it changes `expected` rows: another lane
// was first, and the batch is looked up again.
std::string UpdateSql(const TableSpec& table, const std::string& account_literal,
                      const std::vector<std::string>& arrays, std::int64_t expected);

}  // namespace weir::worker
