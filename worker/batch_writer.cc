#include "worker/batch_writer.h"

#include <fmt/core.h>

#include <utility>

#include "common/ledger/seen.h"
#include "worker/rows_sql.h"

namespace weir::worker {

void BatchWriter::Begin(const ledger::ClaimedTask* task, const StreamInfo* stream, RecordMapper* mapper,
                        bool lookup) {
  Abandon();
  task_ = task;
  table_ = &stream->table;
  notes_met_ = stream->sweep.lists_all;
  mapper_ = mapper;
  lookup_ = lookup;
  stored_.Begin(table_, task->account);
  committed_ = {};
  unwritten_ = {};
  StartPage(task->position, task->digest);
}

void BatchWriter::StartPage(std::int64_t position, std::int64_t digest) {
  StartAt(position, digest);
  written_position_ = page_begin_ = position;
  written_digest_ = digest;
  page_ = {};
  first_reject_.clear();
  refused_by_.clear();
  refused_ = 0;
}

void BatchWriter::StartAt(std::int64_t position, std::int64_t digest) {
  position_ = position;
  digest_ = digest;
}

Result<WriteSession*> BatchWriter::OwnSession() {
  if (!session_) {
    auto session = sessions_->Acquire();
    if (!session) return Fail(session.error());
    session_ = std::move(*session);
  }
  return session_.get();
}

void BatchWriter::Take(RecordBatch& batch, std::int64_t max_new) {
  prepared_ = buffers_.TakePrepared();
  prepared_->Take(batch, max_new);
  inflight_.Set(prepared_->records.Bytes() + (flight_ ? flight_->batch->records.Bytes() : 0));
  prepared_->secrets = secrets_;
  prepared_->lookup = lookup_;
  prepared_->as_text = text_tables_.contains(table_);
  prepared_->StartAt(position_, digest_);
}

Result<PreparedInfo> BatchWriter::Prepare(RecordBatch& batch) {
  // A look-up must see the batch before it; without one, mapping goes on while that batch is still being
  // committed.
  if (lookup_) {
    if (auto ok = Await(); !ok) return Fail(ok.error());
  }
  Take(batch, Prepared::kNoLimit);
  if (auto ok = Encode(*prepared_); !ok) return Fail(ok.error());
  StartAt(prepared_->end_position, prepared_->end_digest);
  return PreparedInfo{prepared_->counts};
}

Result<void> BatchWriter::Encode(Prepared& p) {
  if (p.copy.empty()) p.copy = buffers_.TakeCopy();
  p.ResetEncoding();
  p.DropDuplicates();
  if (p.lookup && !p.records.Empty()) {
    auto session = OwnSession();
    if (!session) return Fail(session.error());
    auto looked = stored_.Run(**session, p);
    if (!flight_) session_.reset();
    if (!looked) return looked;
  }
  p.EncodeRows(*table_, *mapper_, task_->account, task_->page);
  return {};
}

ledger::Advance BatchWriter::AdvanceOf(const Prepared& p, const WriteTail& tail) const {
  ledger::Advance a;
  a.page = tail.page_ends ? tail.page : task_->page;
  const bool next_page = tail.page_ends && !tail.done;
  a.position = next_page ? 0 : p.end_position;
  a.digest = next_page ? 0 : p.end_digest;
  a.pages = tail.page_ends ? 1 : 0;
  a.fetched = p.counts.fetched;
  a.inserted = p.counts.inserted;
  a.updated = p.counts.updated;
  a.unchanged = p.counts.unchanged;
  a.rejected = p.counts.rejected;
  a.duplicates = p.counts.duplicates;
  a.requests = tail.effort.requests;
  a.busy_ms = tail.effort.busy_ms;
  a.done = tail.done;
  if (tail.page_ends && tail.end.next_key) a.quoted_key = session_->Quoter().Quote(*tail.end.next_key);
  return a;
}

std::string BatchWriter::MetSql(const Prepared& p) const {
  const pg::Session& session = session_->Quoter();
  std::string sql = ledger::SeenSql(session, *task_, *table_, p.met, p.kept);
  // It may be one that is stored: then a sweep would take it for gone.
  if (p.unnamed) sql += ledger::DoubtSql(session, *task_, "a record without a readable id was rejected");
  return sql;
}

std::string BatchWriter::Sql(const Prepared& p, const WriteTail& tail) const {
  const pg::Session& session = session_->Quoter();
  std::string others;
  if (!p.changed.empty()) {
    std::vector<std::string> quoted;
    for (const std::string& array : p.changed) quoted.push_back(session.Quote(array));
    others += UpdateSql(*table_, session.Quote(task_->account), quoted, p.counts.updated);
  }
  others += ledger::RejectsSql(session, *task_, p.rejects);
  others += ledger::WatchSql(session, *task_, p.watch, p.unwatch);
  if (notes_met_) others += MetSql(p);
  if (tail.page_ends) others += ledger::PageEndSql(session, *task_, tail.end);
  // Batches need not wait for the disk: ledger and rows are in one log in one order, so that a crash of the
  // server takes both or neither, and what it takes is read again (docs/adr/0004).
  std::string sql =
      "begin; " + ledger::FenceSql(*task_, AdvanceOf(p, tail)) + "set local synchronous_commit to off; ";
  if (!others.empty()) sql += ledger::GuardSql(*task_) + others;
  if (tail.done) sql += "notify weir_dispatch; ";
  if (!p.copy.empty()) sql += CopySql(*table_, p.as_text);
  return sql + "commit";
}

Result<void> BatchWriter::Send(Prepared& p, const WriteTail& tail) {
  auto session = OwnSession();
  if (!session) return Fail(session.error());
  if (auto ok = (*session)->PrepareBatch(notes_met_); !ok) return ok;
  return (*session)->SubmitFenced(Sql(p, tail), p.copy);
}

// The position goes forward, and what counts as committed with it.
void BatchWriter::Committed(const Prepared& p, std::chrono::steady_clock::time_point sent) {
  session_.reset();
  if (measured_ != nullptr) {
    measured_->Commit(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - sent));
  }
  committed_.Add(p.counts);
  if (p.counts.inserted + p.counts.updated > 0) wrote_ = sent;
  page_.Add(p.counts);
  if (first_reject_.empty() && !p.rejects.empty()) first_reject_ = p.rejects.front().reason;
  written_.counts.Add(p.counts);
  if (p.Taken() > 0) written_.last_order_ms = p.records.Records()[p.Taken() - 1].head.order_ms;
  written_position_ = p.end_position;
  written_digest_ = p.end_digest;
}

std::optional<std::chrono::milliseconds> BatchWriter::WroteAgo() const {
  if (committed_.inserted + committed_.updated == 0) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - wrote_);
}

Result<void> BatchWriter::Submit(WriteTail tail) {
  if (auto ok = Await(); !ok) return Failed(ok.error(), tail.effort);
  Prepared& p = *prepared_;
  // The batch before this one has shown that the table holds rows, or takes only text.
  const bool as_text = text_tables_.contains(table_);
  if (p.lookup != lookup_ || p.as_text != as_text) {
    p.lookup = lookup_;
    p.as_text = as_text;
    if (auto ok = Encode(p); !ok) return Failed(ok.error(), tail.effort);
  }
  BatchCounts page = page_;
  page.Add(p.counts);
  auto nothing = NothingStored(page, tail);
  if (!nothing) return Failed(nothing.error(), tail.effort);
  if (*nothing) return FailPage(std::move(prepared_), tail.effort);
  const auto begun = std::chrono::steady_clock::now();
  if (auto sent = Send(p, tail); !sent) {
    const auto batch = std::move(prepared_);
    return WriteAgain(*batch, std::move(tail), sent.error());
  }
  // It has been sent; if it must be written again, it is encoded again.
  buffers_.GiveCopy(std::exchange(p.copy, std::string()));
  flight_ = std::make_unique<Flight>(Flight{std::move(prepared_), std::move(tail), begun});
  return {};
}

Result<WrittenInfo> BatchWriter::WriteUpTo(RecordBatch& batch, std::int64_t max_new, ledger::Effort effort) {
  // What is new must be known to be counted.
  lookup_ = true;
  if (auto ok = Await(); !ok) return Fail(Failed(ok.error(), effort).error());
  Take(batch, max_new);
  written_ = {};
  const auto taken = std::move(prepared_);
  if (auto ok = Encode(*taken); !ok) return Fail(Failed(ok.error(), effort).error());
  WriteTail bare;
  bare.effort = effort;
  if (auto ok = TryWrite(*taken, bare); !ok) {
    if (auto again = WriteAgain(*taken, std::move(bare), ok.error()); !again) return Fail(again.error());
  }
  StartAt(written_position_, written_digest_);
  inflight_.Set(0);
  return written_;
}

Result<void> BatchWriter::Await() {
  if (!flight_) return {};
  auto done = session_->Await();
  const auto flight = std::move(flight_);
  if (!done) return WriteAgain(*flight->batch, std::move(flight->tail), done.error());
  Committed(*flight->batch, flight->sent);
  inflight_.Set(prepared_ ? prepared_->records.Bytes() : 0);
  buffers_.Give(std::move(flight->batch));
  return {};
}

Result<void> BatchWriter::Poll() {
  if (!flight_ || !session_->ResultReady()) return {};
  return Await();
}

void BatchWriter::Abandon() {
  if (flight_ && session_) session_->Reset();
  if (flight_) buffers_.Give(std::move(flight_->batch));
  buffers_.Give(std::move(prepared_));
  flight_.reset();
  session_.reset();
  inflight_.Set(0);
}

}  // namespace weir::worker
