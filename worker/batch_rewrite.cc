// The part of BatchWriter that writes a batch again which the database refused.

#include <fmt/core.h>

#include <utility>
#include <vector>

#include "common/base/json_text.h"
#include "common/obs/log.h"
#include "worker/batch_writer.h"

namespace weir::worker {
namespace {

constexpr int kMaxRaces = 8;
// A page that has stored nothing by then is not worth so many rows of weir.rejects more.
constexpr std::int64_t kMostRejectsAlone = 10'000;

// The binary format says nothing of types, so a column that somebody altered takes too many bytes for its
// value, or too few.
bool NotOfThatType(const Error& error) { return error.sqlstate == "22P03" || error.sqlstate == "08P01"; }

std::int64_t StoredOf(const BatchCounts& counts) {
  return counts.inserted + counts.updated + counts.unchanged;
}

// Records of a refused batch that are still to be written.
struct Stretch {
  std::size_t begin = 0, end = 0;
  int races = 0;
};

}  // namespace

Result<void> BatchWriter::Failed(Error why, const ledger::Effort& effort) {
  session_.reset();
  unwritten_.requests += effort.requests;
  unwritten_.busy_ms += effort.busy_ms;
  return Fail(std::move(why));
}

Result<void> BatchWriter::TryWrite(Prepared& p, const WriteTail& tail) {
  const auto begun = std::chrono::steady_clock::now();
  auto sent = Send(p, tail);
  if (sent) sent = session_->Await();
  if (sent) Committed(p, begun);
  return sent;
}

// True when the batch was encoded again so that it may now pass; false when the data is at fault. Errors: not
// the data's.
Result<bool> BatchWriter::Mend(Prepared& p, const Error& why) {
  if (!p.as_text && NotOfThatType(why)) {
    if (text_tables_.insert(table_).second) {
      Log(LogLevel::kWarn, "a column's type is not the one weir made: its rows go as text, which is slower",
          {{"table", fmt::format("{}.{}", table_->schema, table_->name)}, {"error", why.message}});
    }
    p.as_text = true;
  } else if (pg::IsContention(why.sqlstate) && !std::exchange(p.contended, true)) {
    // It was rolled back, and the page is in hand: nothing need be asked of the upstream for it.
  } else if (why.error_class != ErrorClass::kBadRecord) {
    return Fail(why);
  } else if (why.sqlstate == "23505" && p.races < kMaxRaces) {
    // Another lane wrote one of the ids first, or the table was not empty after all.
    ++p.races;
    p.lookup = lookup_ = true;
  } else {
    return false;
  }
  if (auto ok = Encode(p); !ok) return Fail(ok.error());
  return true;
}

// Writes a batch, mended as often as that helps. `refused`: the data is at fault, and the error says why.
Result<void> BatchWriter::WriteMended(Prepared& p, const WriteTail& tail, bool& refused) {
  refused = false;
  while (true) {
    auto wrote = TryWrite(p, tail);
    if (wrote) return wrote;
    auto mended = Mend(p, wrote.error());
    if (!mended) return Fail(mended.error());
    if (*mended) continue;
    refused = true;
    return wrote;
  }
}

// A batch that came back with `why`. If mending does not help, its records are written without the page's
// end, so that neither is blamed for the other, and then the end alone.
Result<void> BatchWriter::WriteAgain(Prepared& p, WriteTail tail, Error why) {
  auto mended = Mend(p, why);
  if (!mended) return Failed(mended.error(), tail.effort);
  if (*mended) {
    bool refused = false;
    auto wrote = WriteMended(p, tail, refused);
    if (wrote) return wrote;
    if (!refused) return Failed(wrote.error(), tail.effort);
    why = wrote.error();
  }
  if (p.records.Empty() && !tail.page_ends) return Failed(std::move(why), tail.effort);
  if (auto ok = WriteApart(p, tail.effort); !ok) return Failed(ok.error(), tail.effort);
  if (!tail.page_ends) return {};
  auto nothing = NothingStored(page_, tail);
  if (!nothing) return Failed(nothing.error(), tail.effort);
  if (*nothing) return FailPage(nullptr, tail.effort);
  if (auto ok = WriteEnd(tail); !ok) return Failed(ok.error(), tail.effort);
  return {};
}

// Writes the records in pieces, in order: a piece that is refused is halved until the bad record is alone,
// and that one is rejected. One that cannot even be rejected fails the page. `effort` goes with the first
// piece.
Result<void> BatchWriter::WriteApart(Prepared& whole, ledger::Effort& effort) {
  std::vector<Stretch> left;  // the last one is next
  if (!whole.records.Empty()) left.push_back({0, whole.records.Size(), whole.races});
  WriteTail bare;
  bare.effort = effort;
  auto part = buffers_.TakePrepared();
  while (!left.empty() && whole.max_new > 0) {
    const Stretch next = left.back();
    left.pop_back();
    whole.CopyTo(next.begin, next.end, *part);
    part->races = next.races;
    part->StartAt(written_position_, written_digest_);
    bool refused = false;
    auto wrote = Encode(*part);
    if (wrote) wrote = WriteMended(*part, bare, refused);
    if (wrote) {
      bare.effort = effort = {};
      if (whole.max_new != Prepared::kNoLimit) whole.max_new -= part->counts.inserted;
      whole.as_text = part->as_text;
      whole.lookup = part->lookup;
      continue;
    }
    if (!refused) return wrote;
    const std::size_t middle = next.begin + (next.end - next.begin) / 2;
    RecordBatch::Record& first = whole.records.Records()[next.begin];
    if (middle > next.begin) {
      left.push_back({middle, next.end, part->races});
      left.push_back({next.begin, middle, part->races});
    } else if (first.bad.empty()) {
      first.bad = wrote.error().message;
      if (refused_by_.empty()) refused_by_ = wrote.error().sqlstate;
      if (refused_by_ == wrote.error().sqlstate) ++refused_;
      left.push_back({next.begin, next.end, part->races});
    } else {
      return Fail(ErrorClass::kInternal, "a record's reject cannot be written: " + wrote.error().message);
    }
  }
  buffers_.Give(std::move(part));
  return {};
}

// The page's end without records, after they were committed.
Result<void> BatchWriter::WriteEnd(const WriteTail& tail) {
  Prepared none;
  none.lookup = false;
  none.ResetEncoding();
  none.StartAt(written_position_, written_digest_);
  bool refused = false;
  auto wrote = WriteMended(none, tail, refused);
  if (!refused) return wrote;
  return Fail(ErrorClass::kInternal, "what the page's end writes is refused: " + wrote.error().message);
}

// Whether a page that ends has rejected each of its records. Those that an earlier attempt committed are
// known by the ledger: `page` is what this one did.
Result<bool> BatchWriter::NothingStored(const BatchCounts& page, const WriteTail& tail) {
  if (StoredOf(page) > 0) return false;
  if (!tail.page_ends) return page_begin_ == 0 && page.rejected >= kMostRejectsAlone;
  if (tail.passed_over == 0) return page.rejected > 0;
  auto session = OwnSession();
  if (!session) return Fail(session.error());
  auto rows = (*session)->Exec(
      "select count(*), min(reason) from weir.rejects where task_id = $1 and page = $2 and position < $3",
      {std::to_string(task_->id.value), std::to_string(task_->page), std::to_string(page_begin_)},
      "rejects_of_page");
  session_.reset();
  if (!rows) return Fail(rows.error());
  const std::int64_t before = rows->Int(0, 0);
  if (first_reject_.empty()) first_reject_ = rows->Text(0, 1);
  return before + page.rejected > 0 && tail.passed_over <= before;
}

// Keeps the rejects, those of `batch` too, and the position, and writes nothing that the page's end would: it
// claims no range.
Result<void> BatchWriter::FailPage(std::unique_ptr<Prepared> batch, ledger::Effort effort) {
  if (batch && !batch->records.Empty()) {
    WriteTail bare;
    bare.effort = effort;
    if (auto wrote = TryWrite(*batch, bare); !wrote) {
      if (auto again = WriteAgain(*batch, std::move(bare), wrote.error()); !again) return again;
    }
    effort = {};
  }
  Error nothing =
      MakeError(ErrorClass::kInvalid,
                fmt::format("none of the page's records could be stored; the first one: {}",
                            Printable(first_reject_, 200)),
                fmt::format("see them all: select * from weir.rejects where task_id = {}; once the cause is "
                            "mended, replay the job",
                            task_->id.value));
  if (refused_ > 0 && refused_ == page_.rejected) nothing.sqlstate = refused_by_;
  return Failed(std::move(nothing), effort);
}

}  // namespace weir::worker
