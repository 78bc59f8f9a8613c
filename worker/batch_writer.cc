#include "worker/batch_writer.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <utility>

#include "common/ledger/seen.h"
#include "common/obs/log.h"

namespace weir::worker {
namespace {

// The binary format says nothing of types, so a column that somebody altered takes too many bytes for its
// value, or too few.
bool NotOfThatType(const Error& error) { return error.sqlstate == "22P03" || error.sqlstate == "08P01"; }

}  // namespace

void BatchWriter::Begin(const ledger::ClaimedTask* task, const StreamInfo* stream, RecordMapper* mapper,
                        bool lookup) {
  Abandon();
  task_ = task;
  table_ = &stream->table;
  notes_met_ = stream->sweep.lists_all;
  mapper_ = mapper;
  lookup_ = lookup;
  by_time_pays_ = true;
  committed_ = {};
  StartAt(task->position, task->digest);
}

void BatchWriter::StartAt(std::int64_t position, std::int64_t digest) {
  position_ = position;
  digest_ = digest;
}

Result<pg::Session*> BatchWriter::OwnSession() {
  if (!session_) {
    auto lease = pool_->Acquire();
    if (!lease) return Fail(lease.error());
    session_.emplace(std::move(*lease));
  }
  return &**session_;
}

Result<PreparedInfo> BatchWriter::Prepare(RecordBatch& batch, std::int64_t max_new) {
  // A look-up must see the batch before it; without one, mapping goes on while that batch is still being
  // committed.
  if (lookup_) {
    if (auto ok = Await(); !ok) return Fail(ok.error());
  }
  prepared_ = buffers_.TakePrepared();
  prepared_->Take(batch, max_new);
  inflight_.Set(prepared_->records.Bytes() + (flight_ ? flight_->batch->records.Bytes() : 0));
  prepared_->lookup = lookup_;
  prepared_->as_text = text_tables_.contains(table_);
  prepared_->StartAt(position_, digest_);
  if (auto ok = Encode(*prepared_); !ok) return Fail(ok.error());
  StartAt(prepared_->end_position, prepared_->end_digest);
  const auto& records = prepared_->records.Records();
  return PreparedInfo{prepared_->counts, records.empty() ? 0 : records.back().head.order_ms};
}

std::string BatchWriter::LookupSql(std::string_view where) const {
  return fmt::format("select id, content_hash, stale_at is not null from {}.{} where account = $1 and {}",
                     table_->schema, table_->name, where);
}

// A page's records stand one after the other in the index by time, so that reading its stretch costs a
// fraction of as many look-ups by key. It may hold others too, and then it is left after twice as many.
Result<void> BatchWriter::LookupByTime(pg::Session& session, Prepared& p) {
  if (table_->time_column.empty() || !by_time_pays_) return {};
  const auto times = p.TimesOfUnknown();
  if (!times) return {};
  constexpr std::string_view kTime = "timestamptz 'epoch' + {}::int8 * interval '1 ms'";
  const std::string where = fmt::format("{0} >= {1} and {0} <= {2} limit $4::int8", table_->time_column,
                                        fmt::format(kTime, "$2"), fmt::format(kTime, "$3"));
  auto rows = session.Exec(LookupSql(where),
                           {task_->account, std::to_string(times->first_ms), std::to_string(times->last_ms),
                            std::to_string(2 * times->records)},
                           fmt::format("lookup_time_{}_{}", table_->schema, table_->name));
  if (!rows) return Fail(rows.error());
  const std::size_t found = TakeFound(*rows, p);
  by_time_pays_ = rows->Empty() || 2 * found >= static_cast<std::size_t>(rows->Size());
  return {};
}

std::size_t BatchWriter::TakeFound(const pg::Rows& rows, Prepared& p) {
  std::size_t found = 0;
  for (int i = 0; i < rows.Size(); ++i) {
    found += p.Found(rows.Text(i, 0), {rows.Int(i, 1), rows.Bool(i, 2)}) ? 1 : 0;
  }
  return found;
}

Result<void> BatchWriter::Lookup(Prepared& p) {
  auto session = OwnSession();
  if (!session) return Fail(session.error());
  if (auto ok = LookupByTime(**session, p); !ok) return ok;
  const std::vector<std::string_view> ids = p.UnknownIds();
  const auto step = static_cast<std::size_t>(options_.id_set_page);
  for (std::size_t from = 0; from < ids.size(); from += step) {
    const auto some = std::span(ids).subspan(from, std::min(step, ids.size() - from));
    auto rows = (*session)->Exec(LookupSql("id = any($2::text[])"), {task_->account, pg::ArrayLiteral(some)},
                                 fmt::format("lookup_{}_{}", table_->schema, table_->name));
    if (!rows) return Fail(rows.error());
    TakeFound(*rows, p);
  }
  if (!flight_) session_.reset();
  return {};
}

Result<void> BatchWriter::Encode(Prepared& p) {
  if (p.copy.empty()) p.copy = buffers_.TakeCopy();
  p.ResetEncoding();
  p.DropDuplicates();
  if (p.lookup) {
    if (auto ok = Lookup(p); !ok) return ok;
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
  if (tail.page_ends && tail.end.next_key) a.quoted_key = (*session_)->Quote(*tail.end.next_key);
  return a;
}

std::string BatchWriter::MetSql(const Prepared& p) const {
  const pg::Session& session = **session_;
  std::string sql = ledger::SeenSql(session, *task_, *table_, p.met, p.kept);
  // It may be one that is stored: then a sweep would take it for gone.
  if (p.unnamed) sql += ledger::DoubtSql(session, *task_, "a record without a readable id was rejected");
  return sql;
}

std::string BatchWriter::Sql(const Prepared& p, const WriteTail& tail) const {
  const pg::Session& session = **session_;
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
  if (auto ok = ledger::PrepareFence(**session); !ok) return ok;
  if (notes_met_) {
    if (auto ok = ledger::PrepareSeen(**session); !ok) return ok;
  }
  return (*session)->SubmitFenced(Sql(p, tail), p.copy);
}

void BatchWriter::CountCommit(std::chrono::steady_clock::time_point sent) const {
  if (measured_ == nullptr) return;
  measured_->Commit(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - sent));
}

Result<void> BatchWriter::Submit(WriteTail tail) {
  if (auto ok = Await(); !ok) return ok;
  const auto begun = std::chrono::steady_clock::now();
  auto sent = Send(*prepared_, tail);
  if (!sent) return WriteAgain(std::move(prepared_), tail, sent.error());
  // It has been sent; if it must be written again, it is encoded again.
  buffers_.GiveCopy(std::exchange(prepared_->copy, std::string()));
  flight_ = std::make_unique<Flight>(Flight{std::move(prepared_), std::move(tail), begun});
  return {};
}

Result<void> BatchWriter::Await() {
  if (!flight_) return {};
  auto done = (*session_)->Await();
  auto flight = std::move(flight_);
  if (!done) return WriteAgain(std::move(flight->batch), flight->tail, done.error());
  session_.reset();
  CountCommit(flight->sent);
  committed_.Add(flight->batch->counts);
  inflight_.Set(prepared_ ? prepared_->records.Bytes() : 0);
  buffers_.Give(std::move(flight->batch));
  return {};
}

Result<void> BatchWriter::Poll() {
  if (!flight_ || !(*session_)->ResultReady()) return {};
  return Await();
}

void BatchWriter::Abandon() {
  if (flight_ && session_) (*session_)->Reset();
  if (flight_) buffers_.Give(std::move(flight_->batch));
  buffers_.Give(std::move(prepared_));
  flight_.reset();
  session_.reset();
  inflight_.Set(0);
}

// A batch that came back. Another lane had the same id: look up and write again. Bad data: halve until the
// bad record is alone. Everything else is not the batch's fault and ends the page.
Result<void> BatchWriter::WriteAgain(std::unique_ptr<Prepared> p, const WriteTail& tail, Error why) {
  constexpr int kMaxRaces = 8;
  if (!p->as_text && NotOfThatType(why)) {
    if (text_tables_.insert(table_).second) {
      Log(LogLevel::kWarn, "a column's type is not the one weir made: its rows go as text, which is slower",
          {{"table", fmt::format("{}.{}", table_->schema, table_->name)}, {"error", why.message}});
    }
    p->as_text = true;
    if (auto ok = Encode(*p); !ok) return ok;
    return WriteWhole(std::move(p), tail);
  }
  if (why.error_class != ErrorClass::kBadRecord) {
    session_.reset();
    return Fail(std::move(why));
  }
  if (why.sqlstate == "23505" && p->races < kMaxRaces) {
    ++p->races;
    p->lookup = true;
    if (auto ok = Encode(*p); !ok) return ok;
    return WriteWhole(std::move(p), tail);
  }
  if (p->records.Size() > 1) return WriteHalves(*p, tail);
  if (p->records.Empty()) {
    why.error_class = ErrorClass::kInternal;
    return Fail(std::move(why));
  }
  p->records.Records().front().bad = why.message;
  if (auto ok = Encode(*p); !ok) return ok;
  return WriteWhole(std::move(p), tail);
}

Result<void> BatchWriter::WriteWhole(std::unique_ptr<Prepared> p, const WriteTail& tail) {
  const auto begun = std::chrono::steady_clock::now();
  auto sent = Send(*p, tail);
  if (sent) sent = (*session_)->Await();
  if (!sent) return WriteAgain(std::move(p), tail, sent.error());
  session_.reset();
  CountCommit(begun);
  committed_.Add(p->counts);
  buffers_.Give(std::move(p));
  return {};
}

Result<void> BatchWriter::WriteHalves(Prepared& p, const WriteTail& tail) {
  const std::size_t middle = p.records.Size() / 2;
  auto first = std::make_unique<Prepared>();
  auto second = std::make_unique<Prepared>();
  p.Split(middle, *first, *second);
  if (auto ok = Encode(*first); !ok) return ok;
  WriteTail none;
  none.page = task_->page;
  if (auto ok = WriteWhole(std::move(first), none); !ok) return ok;
  if (auto ok = Encode(*second); !ok) return ok;
  return WriteWhole(std::move(second), tail);
}

std::string CopySql(const TableSpec& table, bool as_text) {
  std::string sql = fmt::format("copy {}.{} (account, id, ", table.schema, table.name);
  for (const Column& column : table.columns) sql += fmt::format("{}, ", column.name);
  return sql +
         (as_text ? "raw, content_hash) from stdin; " : "raw, content_hash) from stdin (format binary); ");
}

std::string UpdateSql(const TableSpec& table, const std::string& account_literal,
                      const std::vector<std::string>& arrays, std::int64_t expected) {
  std::string set, names, unnest;
  std::size_t i = 1;
  for (const Column& column : table.columns) {
    set += fmt::format("{0} = v.{0}, ", column.name);
    names += fmt::format(", {}", column.name);
    unnest += fmt::format(", {}::{}[]", arrays[i++], column.type);
  }
  return fmt::format(
      "with written as ("
      "update {}.{} t set {}raw = v.raw, content_hash = v.content_hash, updated_at = clock_timestamp(), "
      "stale_at = null "
      "from unnest({}::text[]{}, {}::jsonb[], {}::bigint[]) as v (id{}, raw, content_hash) "
      "where t.account = {} and t.id = v.id and (t.content_hash <> v.content_hash or t.stale_at is not null) "
      "returning 1) select weir.expect_rows(count(*), {}) from written; ",
      table.schema, table.name, set, arrays[0], unnest, arrays[i], arrays[i + 1], names, account_literal,
      expected);
}

}  // namespace weir::worker
