#include "worker/testing/fake_database.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "common/pg/testing/made_rows.h"

namespace weir::worker::testing {
namespace {

std::int64_t Number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// What stands between `before` and `after`, from `from` on; "" if they are not there.
std::string_view Between(std::string_view text, std::string_view before, std::string_view after,
                         std::size_t from = 0) {
  const auto begin = text.find(before, from);
  if (begin == std::string_view::npos) return {};
  const auto end = text.find(after, begin + before.size());
  return text.substr(begin + before.size(), end - begin - before.size());
}

std::vector<std::string> Split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto at = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, at));
    text.remove_prefix(std::min(at + separator.size(), text.size()));
  }
  return parts;
}

// The elements of {"a","b"} or {1,2}: tests use plain ids.
std::vector<std::string> Elements(std::string_view literal) {
  std::vector<std::string> all = Split(literal.substr(1, literal.size() - 2), ",");
  for (std::string& one : all) std::erase(one, '"');
  return all;
}

void ReadFence(SentBatch& batch) {
  const auto args = Split(Between(batch.sql, "weir_fence(", ")"), ", ");
  if (args.size() != 16) throw std::runtime_error("the fence is not the one this fake knows: " + batch.sql);
  std::int64_t* const numbers[] = {&batch.page,     &batch.position,   &batch.digest,  &batch.pages,
                                   &batch.fetched,  &batch.inserted,   &batch.updates, &batch.unchanged,
                                   &batch.rejected, &batch.duplicates, &batch.requests};
  for (std::size_t i = 0; i < std::size(numbers); ++i) *numbers[i] = Number(args[i]);
  batch.done = args[13] == "true";
}

std::uint64_t Big(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

void ReadBinary(std::string_view copy, SentBatch& batch) {
  copy.remove_prefix(19);
  while (true) {
    const auto columns = static_cast<std::int16_t>(Big(copy.substr(0, 2)));
    copy.remove_prefix(2);
    if (columns < 0) return;
    std::vector<std::string_view> cells;
    for (int i = 0; i < columns; ++i) {
      const auto size = static_cast<std::int32_t>(Big(copy.substr(0, 4)));
      copy.remove_prefix(4);
      cells.push_back(copy.substr(0, static_cast<std::size_t>(std::max(size, 0))));
      copy.remove_prefix(cells.back().size());
    }
    batch.copied.emplace_back(cells.at(1), static_cast<std::int64_t>(Big(cells.back())));
  }
}

SentBatch Read(std::string_view sql, std::string_view copy) {
  SentBatch batch;
  batch.sql = sql;
  ReadFence(batch);
  batch.as_text = sql.find("from stdin; ") != std::string_view::npos;
  if (batch.as_text) {
    for (const std::string& line : Split(copy, "\n")) {
      const auto cells = Split(line, "\t");
      batch.copied.emplace_back(cells.at(1), Number(cells.back()));
    }
  } else if (!copy.empty()) {
    ReadBinary(copy, batch);
  }
  if (const auto ids = Between(sql, "from unnest('", "'::text[]"); !ids.empty()) {
    const auto end = sql.find("'::bigint[]) as v");
    const auto begin = sql.rfind('\'', end - 1) + 1;
    const auto names = Elements(ids), hashes = Elements(sql.substr(begin, end - begin));
    for (std::size_t i = 0; i < names.size(); ++i) batch.updated.emplace_back(names[i], Number(hashes.at(i)));
  }
  constexpr std::string_view kReject = "insert into weir.rejects values (";
  for (auto at = sql.find(kReject); at != std::string_view::npos; at = sql.find(kReject, at + 1)) {
    const auto values = Split(Between(sql, kReject, ")", at), ", ");
    batch.rejects.emplace(Number(values.at(1)), Number(values.at(2)));
  }
  return batch;
}

}  // namespace

class FakeSession final : public WriteSession {
 public:
  explicit FakeSession(FakeDatabase* database) : database_(database) { ++database_->open; }
  ~FakeSession() override { --database_->open; }

  Result<pg::Rows> Exec(std::string_view sql, const pg::ParamsList& params, std::string_view) override {
    if (pending_) throw std::logic_error("a batch is pending");
    return database_->Exec(sql, params);
  }
  Result<void> PrepareBatch(bool) override { return {}; }
  Result<void> SubmitFenced(std::string_view sql, std::string_view copy_data) override {
    if (pending_) throw std::logic_error("a batch is pending");
    SentBatch batch = Read(sql, copy_data);
    if (auto error = database_->at_submit ? database_->at_submit(batch) : std::nullopt) {
      database_->refused.push_back(std::move(batch));
      return Fail(*error);
    }
    pending_ = std::move(batch);
    return {};
  }
  Result<void> Await() override {
    if (!pending_) throw std::logic_error("no batch is pending");
    const SentBatch batch = std::move(*pending_);
    pending_.reset();
    auto done = database_->Commit(batch);
    (done ? database_->committed : database_->refused).push_back(batch);
    return done;
  }
  bool ResultReady() override { return !pending_ || database_->ready; }
  void Reset() override {
    ++database_->resets;
    pending_.reset();
  }
  const pg::Session& Quoter() const override { return quoter_; }

 private:
  FakeDatabase* database_;
  std::optional<SentBatch> pending_;
  pg::Session quoter_{pg::SessionOptions{}};
};

namespace {

class FakeSessions final : public WriteSessions {
 public:
  explicit FakeSessions(FakeDatabase* database) : database_(database) {}
  Result<std::unique_ptr<WriteSession>> Acquire() override {
    if (database_->at_acquire) return Fail(*database_->at_acquire);
    ++database_->acquired;
    return std::make_unique<FakeSession>(database_);
  }

 private:
  FakeDatabase* database_;
};

}  // namespace

bool SentBatch::Copies(std::string_view id) const {
  return std::any_of(copied.begin(), copied.end(), [&](const auto& row) { return row.first == id; });
}

std::unique_ptr<WriteSessions> FakeDatabase::Sessions() { return std::make_unique<FakeSessions>(this); }

Result<void> FakeDatabase::Commit(const SentBatch& batch) {
  if (auto error = at_commit ? at_commit(batch) : std::nullopt) return Fail(*error);
  auto table = rows;
  for (const auto& [id, hash] : batch.updated) {
    const auto row = table.find(id);
    if (row == table.end() || (row->second.hash == hash && !row->second.stale))
      return Fail(DataError("23505"));
    row->second = {hash, false};
  }
  for (const auto& [id, hash] : batch.copied) {
    if (!table.emplace(id, Row{hash, false}).second) return Fail(DataError("23505"));
  }
  rows = std::move(table);
  rejects.insert(batch.rejects.begin(), batch.rejects.end());
  return {};
}

Result<pg::Rows> FakeDatabase::Exec(std::string_view sql, const pg::ParamsList& params) {
  if (auto error = at_exec ? at_exec(sql) : std::nullopt) return Fail(*error);
  if (sql.find("from weir.rejects") != std::string_view::npos) {
    const std::int64_t page = Number(*params.at(1)), below = Number(*params.at(2));
    const auto count = std::count_if(rejects.begin(), rejects.end(), [&](const auto& reject) {
      return reject.first == page && reject.second < below;
    });
    return pg::MakeRows(2, {{std::to_string(count), "as before"}});
  }
  ++lookups;
  std::vector<std::vector<std::optional<std::string>>> found;
  for (const std::string& id : Elements(*params.at(1))) {
    const auto row = rows.find(id);
    if (row == rows.end()) continue;
    found.push_back({id, std::to_string(row->second.hash), row->second.stale ? "t" : "f"});
  }
  return pg::MakeRows(3, found);
}

SentBatch FakeDatabase::Totals() const {
  SentBatch sum;
  for (const SentBatch& batch : committed) {
    sum.pages += batch.pages;
    sum.fetched += batch.fetched;
    sum.inserted += batch.inserted;
    sum.updates += batch.updates;
    sum.unchanged += batch.unchanged;
    sum.rejected += batch.rejected;
    sum.duplicates += batch.duplicates;
    sum.requests += batch.requests;
    sum.done = sum.done || batch.done;
  }
  return sum;
}

Error DataError(std::string sqlstate, std::string message) {
  Error error = MakeError(ErrorClass::kBadRecord, std::move(message) + " (" + sqlstate + ")");
  error.sqlstate = std::move(sqlstate);
  return error;
}

}  // namespace weir::worker::testing
