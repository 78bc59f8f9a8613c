#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/ledger/tasks.h"
#include "common/obs/metrics.h"
#include "common/pg/session.h"
#include "common/sources/source.h"
#include "worker/buffer_pool.h"
#include "worker/prepared_batch.h"
#include "worker/record_batch.h"
#include "worker/stored_lookup.h"
#include "worker/write_session.h"

namespace weir::worker {

// What goes with a batch into its transaction besides its records.
struct WriteTail {
  std::int64_t page = 0;   // position to commit when `page_ends`; else the batch's own
  bool page_ends = false;  // the page is read whole: pages + 1
  bool done = false;       // … and the task with it
  PageEnd end;             // when page_ends
  ledger::Effort effort;   // requests and time since the last batch
  // When page_ends: records of the page, within the job's filter, that an earlier attempt committed.
  std::int64_t passed_over = 0;
};

struct PreparedInfo {
  BatchCounts counts;  // what the batch will count as, unless the database refuses it
};

// What was written of a batch that may hold only so many new records.
struct WrittenInfo {
  BatchCounts counts;
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
//   StartPage → Prepare(batch) → Submit(tail) → … → Await()
//
// A batch that the database refuses is written again: as it is, if others were at the same rows (a deadlock,
// a lock), once; looked up again, if another lane wrote one of its ids; and else piece by piece until the bad
// records are found and rejected. What is not a record's fault fails
// the page, and no record is rejected for it. A page of whose records not one could be stored is not ended:
// its rejects are written, its WriteTail is not, and the error is kInvalid.
class BatchWriter {
 public:
  BatchWriter(pg::SessionPool* pool, WriterOptions options)
      : BatchWriter(std::make_unique<PooledWriteSessions>(pool), options) {}
  BatchWriter(std::unique_ptr<WriteSessions> sessions, WriterOptions options)
      : sessions_(std::move(sessions)),
        buffers_(options.buffers != nullptr ? *options.buffers : own_buffers_),
        stored_(options.id_set_page),
        inflight_(options.metrics) {}

  // Begins a task. `task`, `stream` and `mapper` outlive its writes. `lookup` false: the table held nothing
  // of the account when it was planned; a unique violation corrects that. What is met of a stream that can be
  // swept is noted with each batch (common/ledger/seen.h).
  void Begin(const ledger::ClaimedTask* task, const StreamInfo* stream, RecordMapper* mapper, bool lookup);
  // Where the time of its commits is counted; may be none.
  void Measure(StreamMetrics* metrics) { measured_ = metrics; }
  // What must not stand in what is kept of a rejected record; outlives its writes. May be none.
  void KeepOut(const std::map<std::string, Secret>* secrets) { secrets_ = secrets; }
  // Begins a page, from the position that an earlier attempt committed. All before it is awaited.
  void StartPage(std::int64_t position, std::int64_t digest);

  // Looks up and maps a batch, taking its records (`batch` is empty after). Errors: kDatabase.
  Result<PreparedInfo> Prepare(RecordBatch& batch);
  // Sends the prepared batch after the one before it was committed. Errors: kFenced, kDatabase, kStopped;
  // kInvalid for a page of which nothing could be stored, with a SQLSTATE if the database refused each of its
  // records by that one; kInternal for a page whose end the database refuses.
  Result<void> Submit(WriteTail tail);
  // Writes a batch, with `effort`, up to the last of `max_new` new records, and waits for the commit: what
  // follows that record is dropped. What is returned is what the table took.
  Result<WrittenInfo> WriteUpTo(RecordBatch& batch, std::int64_t max_new, ledger::Effort effort);
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
  // Rows were, or were found as they are.
  bool HasStored() const { return committed_.inserted + committed_.updated + committed_.unchanged > 0; }
  // How long ago the last rows were sent that the table took in that time; none = it took none. Asked before
  // TakeCommitted.
  std::optional<std::chrono::milliseconds> WroteAgo() const;
  // The effort of tails that were not committed, as far as is known: for whoever ends the task.
  ledger::Effort TakeUnwritten() { return std::exchange(unwritten_, {}); }

 private:
  using Prepared = PreparedBatch;
  struct Flight {
    std::unique_ptr<Prepared> batch;
    WriteTail tail;
    std::chrono::steady_clock::time_point sent;
  };

  void StartAt(std::int64_t position, std::int64_t digest);
  void Take(RecordBatch& batch, std::int64_t max_new);
  Result<void> Encode(Prepared& p);
  Result<WriteSession*> OwnSession();
  std::string Sql(const Prepared& p, const WriteTail& tail) const;
  std::string MetSql(const Prepared& p) const;
  ledger::Advance AdvanceOf(const Prepared& p, const WriteTail& tail) const;

  Result<void> Send(Prepared& p, const WriteTail& tail);
  Result<void> TryWrite(Prepared& p, const WriteTail& tail);
  void Committed(const Prepared& p, std::chrono::steady_clock::time_point sent);
  Result<void> Failed(Error why, const ledger::Effort& effort);

  Result<bool> Mend(Prepared& p, const Error& why);
  Result<void> WriteMended(Prepared& p, const WriteTail& tail, bool& refused);
  Result<void> WriteAgain(Prepared& p, WriteTail tail, Error why);
  Result<void> WriteApart(Prepared& whole, ledger::Effort& effort);
  Result<void> WriteEnd(const WriteTail& tail);
  Result<bool> NothingStored(const BatchCounts& page, const WriteTail& tail);
  Result<void> FailPage(std::unique_ptr<Prepared> batch, ledger::Effort effort);

  std::unique_ptr<WriteSessions> sessions_;
  BufferPool own_buffers_;
  BufferPool& buffers_;
  StoredLookup stored_;
  const ledger::ClaimedTask* task_ = nullptr;
  const TableSpec* table_ = nullptr;
  bool notes_met_ = false;
  RecordMapper* mapper_ = nullptr;
  const std::map<std::string, Secret>* secrets_ = nullptr;
  bool lookup_ = true;
  std::unique_ptr<WriteSession> session_;   // held only while a write is in flight
  std::unique_ptr<Prepared> prepared_;      // not yet sent
  std::unique_ptr<Flight> flight_;          // sent, not yet committed
  std::int64_t position_ = 0, digest_ = 0;  // where the next batch begins
  std::int64_t page_begin_ = 0;             // the position that this attempt began the page at
  BatchCounts page_;                        // committed of the page by this attempt
  std::string first_reject_;                // why the first of them was rejected
  std::string refused_by_;                  // the SQLSTATE of the first one that the database refused
  std::int64_t refused_ = 0;                // records that it refused by that one
  BatchCounts committed_;
  std::chrono::steady_clock::time_point wrote_;             // the last of them with rows was sent
  WrittenInfo written_;                                     // by WriteUpTo
  std::int64_t written_position_ = 0, written_digest_ = 0;  // as far as all is committed
  ledger::Effort unwritten_;
  std::set<const TableSpec*> text_tables_;  // that do not take the binary format of COPY
  StreamMetrics* measured_ = nullptr;
  InflightBytes inflight_;  // prepared or sent
};

}  // namespace weir::worker
