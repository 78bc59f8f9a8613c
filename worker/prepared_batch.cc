#include "worker/prepared_batch.h"

#include <algorithm>
#include <utility>

#include "common/base/secret_text.h"

namespace weir::worker {
namespace {

constexpr std::size_t kMostRejectBytes = 4096;  // of a record

}  // namespace

void PreparedBatch::Take(RecordBatch& batch, std::int64_t limit) {
  std::swap(records, batch);
  batch.Clear();
  max_new = limit;
}

void PreparedBatch::Clear() {
  records.Clear();
  max_new = kNoLimit;
  races = 0;
  contended = false;
  secrets = nullptr;
  ResetEncoding();
}

void PreparedBatch::ResetEncoding() {
  index_.clear();
  stored_.assign(records.Size(), std::nullopt);
  first_of_.assign(records.Size(), 0);
  taken_ = records.Size();
  ClearRows();
}

void PreparedBatch::ClearRows() {
  counts = {};
  copy.clear();
  changed.clear();
  rejects.clear();
  watch.clear();
  unwatch.clear();
  met.clear();
  kept = unnamed = false;
  fates_.assign(records.Size(), Fate::kPass);
}

void PreparedBatch::StartAt(std::int64_t position, std::int64_t digest) {
  end_position = position;
  end_digest = digest;
}

void PreparedBatch::DropDuplicates() {
  const auto& all = records.Records();
  index_.reserve(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].outside || !all[i].bad.empty()) continue;
    first_of_[i] = index_.emplace(all[i].head.id, i).first->second;
  }
  Settle();
}

// What becomes of the records that are taken, as far as is known before they are mapped.
void PreparedBatch::Settle() {
  const auto& all = records.Records();
  std::vector<bool> has_winner(all.size());
  for (std::size_t i = taken_; i-- > 0;) {
    if (all[i].outside) continue;
    if (!all[i].bad.empty()) {
      fates_[i] = Fate::kReject;
    } else if (has_winner[first_of_[i]]) {
      fates_[i] = Fate::kDuplicate;
    } else {
      has_winner[first_of_[i]] = true;
      const auto& stored = stored_[first_of_[i]];
      const bool same = stored && stored->hash == all[i].hash && !stored->stale;
      fates_[i] = !stored ? Fate::kNew : same ? Fate::kUnchanged : Fate::kChanged;
    }
  }
}

std::vector<std::string_view> PreparedBatch::UnknownIds() const {
  std::vector<std::string_view> ids;
  const auto& all = records.Records();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (fates_[i] == Fate::kNew && !IsKnown(i)) ids.emplace_back(all[i].head.id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::optional<PreparedBatch::Times> PreparedBatch::TimesOfUnknown() const {
  Times times;
  const auto& all = records.Records();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (fates_[i] != Fate::kNew || IsKnown(i)) continue;
    const std::int64_t ms = all[i].head.order_ms;
    if (ms == 0) return std::nullopt;
    times.first_ms = times.records == 0 ? ms : std::min(times.first_ms, ms);
    times.last_ms = std::max(times.last_ms, ms);
    ++times.records;
  }
  if (times.records == 0) return std::nullopt;
  return times;
}

bool PreparedBatch::Found(std::string_view id, Stored stored) {
  const auto at = index_.find(id);
  if (at == index_.end() || stored_[at->second]) return false;
  stored_[at->second] = stored;
  return true;
}

void PreparedBatch::RejectRecord(std::size_t index, const std::string& reason) {
  const RecordBatch::Record& record = records.Records()[index];
  fates_[index] = Fate::kReject;
  ledger::Reject reject;
  reject.page = page_;
  reject.position = record.page_position;
  static const std::map<std::string, Secret> kNone;
  const auto& keep_out = secrets != nullptr ? *secrets : kNone;
  reject.record_id = WithoutSecrets(record.head.id, keep_out);
  reject.reason = WithoutSecrets(reason, keep_out);
  reject.body_start = WithoutSecrets(records.Raw(record), keep_out, kMostRejectBytes);
  rejects.push_back(std::move(reject));
}

void PreparedBatch::Note(const RecordBatch::Record& record, const RecordNotes& notes) {
  if (notes.watch == RecordNotes::Watch::kWatch) watch.push_back(record.head.id);
  if (notes.watch == RecordNotes::Watch::kUnwatch) unwatch.push_back(record.head.id);
}

bool PreparedBatch::MapNew(std::size_t index, CopyFormat& out, RecordMapper& mapper,
                           const std::string& account) {
  const RecordBatch::Record& record = records.Records()[index];
  const std::size_t row = copy.size();
  out.BeginRow();
  out.Text(account);
  out.Text(record.head.id);
  auto notes = mapper.Map(records.Raw(record), out);
  if (!notes) {
    copy.resize(row);
    RejectRecord(index, notes.error().message);
    return false;
  }
  out.Text(records.Raw(record));
  out.Int(record.hash);
  out.EndRow();
  // A record that is new and final was never watched.
  if (notes->watch == RecordNotes::Watch::kWatch) Note(record, *notes);
  return true;
}

void PreparedBatch::EncodeChangedRows(const TableSpec& table, RecordMapper& mapper) {
  const auto& all = records.Records();
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (fates_[i] == Fate::kChanged) order.push_back(i);
  }
  if (order.empty()) return;
  // Sorted by key: two lanes that change the same rows take their locks in one order.
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return all[a].head.id < all[b].head.id; });
  ColumnArrays arrays(table.columns.size() + 3);
  bool any = false;
  for (const std::size_t i : order) {
    arrays.Mark();
    arrays.BeginRow();
    arrays.Text(all[i].head.id);
    auto notes = mapper.Map(records.Raw(all[i]), arrays);
    if (!notes) {
      arrays.Rollback();
      RejectRecord(i, notes.error().message);
      continue;
    }
    arrays.Text(records.Raw(all[i]));
    arrays.Int(all[i].hash);
    Note(all[i], *notes);
    any = true;
  }
  if (!any) return;
  for (std::size_t column = 0; column < table.columns.size() + 3; ++column)
    changed.push_back(arrays.Literal(column));
}

void PreparedBatch::EncodeRows(const TableSpec& table, RecordMapper& mapper, const std::string& account,
                               std::int64_t page) {
  page_ = page;
  if (max_new == kNoLimit) {
    EncodeTaken(table, mapper, account);
  } else {
    EncodeUpTo(table, mapper, account);
  }
}

void PreparedBatch::EncodeTaken(const TableSpec& table, RecordMapper& mapper, const std::string& account) {
  ClearRows();
  Settle();
  if (as_text) {
    CopyText out(&copy);
    EncodeNewRows(out, mapper, account);
  } else {
    const std::vector<WireType> types = WireTypesOf(table);
    CopyBinary out(&copy, &types);
    EncodeNewRows(out, mapper, account);
  }
  EncodeChangedRows(table, mapper);
  Count();
  Meet();
}

// Takes records until max_new of them are new. Whether a record can be stored is known once it is mapped, and
// the last one of an id counts: so it takes as many new ids as are missing, maps, and goes on while some of
// them were rejected. It never takes one too many: each round adds no more ids than are missing.
void PreparedBatch::EncodeUpTo(const TableSpec& table, RecordMapper& mapper, const std::string& account) {
  const auto& all = records.Records();
  std::vector<bool> has_row(all.size());  // by the first record of an id, as all in here
  taken_ = 0;
  for (std::int64_t fresh = 0;;) {
    std::vector<bool> wanted = has_row;
    for (std::int64_t missing = max_new - fresh; taken_ < all.size() && missing > 0; ++taken_) {
      const std::size_t first = first_of_[taken_];
      if (all[taken_].outside || !all[taken_].bad.empty() || stored_[first] || wanted[first]) continue;
      wanted[first] = true;
      --missing;
    }
    EncodeTaken(table, mapper, account);
    if (counts.inserted >= max_new || taken_ == all.size()) return;
    fresh = counts.inserted;
    has_row.assign(all.size(), false);
    for (std::size_t i = 0; i < taken_; ++i) {
      if (fates_[i] == Fate::kNew) has_row[first_of_[i]] = true;
    }
  }
}

void PreparedBatch::EncodeNewRows(CopyFormat& out, RecordMapper& mapper, const std::string& account) {
  const auto& all = records.Records();
  std::vector<std::size_t> order;
  // As in RecordBatch: once, and not by doubling. A row holds its record, and most of it again in columns.
  copy.reserve(2 * records.Bytes() + 256 * records.Size());
  out.Begin();
  for (std::size_t i = 0; i < taken_; ++i) {
    if (fates_[i] == Fate::kReject) RejectRecord(i, std::string(all[i].bad));
    if (fates_[i] == Fate::kNew) order.push_back(i);
  }
  // Sorted by key: two lanes that insert the same ids wait for each other in one order, never in a circle.
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return all[a].head.id < all[b].head.id; });
  bool any = false;
  for (const std::size_t i : order) any = MapNew(i, out, mapper, account) || any;
  if (any) {
    out.End();
  } else {
    copy.clear();
  }
}

// A record counts as met even if it is rejected or outside the job's filter: the upstream has it.
void PreparedBatch::Meet() {
  const auto& all = records.Records();
  met.reserve(taken_);
  for (std::size_t i = 0; i < taken_; ++i) {
    if (all[i].head.id.empty()) {
      unnamed = true;
      continue;
    }
    kept = kept || (fates_[i] != Fate::kNew && fates_[i] != Fate::kChanged && fates_[i] != Fate::kDuplicate);
    met.push_back(all[i].head.id);
  }
  std::sort(met.begin(), met.end());
  met.erase(std::unique(met.begin(), met.end()), met.end());
}

void PreparedBatch::Count() {
  for (const Fate fate : fates_) {
    counts.fetched += fate != Fate::kPass;
    counts.duplicates += fate == Fate::kDuplicate;
    counts.rejected += fate == Fate::kReject;
    counts.inserted += fate == Fate::kNew;
    counts.updated += fate == Fate::kChanged;
    counts.unchanged += fate == Fate::kUnchanged;
  }
  if (taken_ == 0) return;
  end_position = records.Records()[taken_ - 1].page_position + 1;
  end_digest = records.Records()[taken_ - 1].digest;
}

void PreparedBatch::CopyTo(std::size_t begin, std::size_t end, PreparedBatch& part) const {
  part.records.Clear();
  for (std::size_t i = begin; i < end; ++i)
    part.records.Add(records.Raw(records.Records()[i]), records.Records()[i]);
  part.lookup = lookup;
  part.as_text = as_text;
  part.races = races;
  part.contended = contended;
  part.secrets = secrets;
  part.max_new = max_new;
}

}  // namespace weir::worker
