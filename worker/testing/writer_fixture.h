#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/batch_writer.h"
#include "worker/testing/fake_database.h"
#include "worker/testing/plain_records.h"

namespace weir::worker::testing {

// A batch writer at work on a page of plain records.
class WriterFixture : public ::testing::Test {
 protected:
  WriterFixture() { Begin(/*lookup=*/true); }

  void Begin(bool lookup) {
    task_.id = TaskId{7};
    task_.account = "mine";
    writer_.Begin(&task_, &stream_, &mapper_, lookup);
  }

  static WriteTail PageEnds(std::int64_t passed_over = 0) {
    WriteTail tail;
    tail.page_ends = tail.done = true;
    tail.end.read.push_back({10, 20});
    tail.effort.requests = 1;
    tail.passed_over = passed_over;
    return tail;
  }

  Result<void> Write(const std::vector<std::string>& records, WriteTail tail) {
    RecordBatch batch = page_.Batch(records);
    auto prepared = writer_.Prepare(batch);
    if (!prepared) return Fail(prepared.error());
    return writer_.Submit(std::move(tail));
  }
  Result<void> WriteAll(const std::vector<std::string>& records, WriteTail tail) {
    auto written = Write(records, std::move(tail));
    return written ? writer_.Await() : written;
  }

  std::vector<std::string> Ids() const {
    std::vector<std::string> ids;
    for (const auto& [id, row] : database_.rows) ids.push_back(id);
    return ids;
  }
  bool ClaimsRange() const {
    for (const SentBatch& batch : database_.committed) {
      if (batch.sql.find("read_ranges") != std::string::npos) return true;
    }
    return false;
  }
  // Counters, rows and rejects agree, and positions never go back.
  void ExpectConsistent(std::size_t rows_before = 0) const {
    const SentBatch sum = database_.Totals();
    EXPECT_EQ(sum.fetched, sum.inserted + sum.updates + sum.unchanged + sum.rejected + sum.duplicates);
    EXPECT_EQ(sum.inserted, static_cast<std::int64_t>(database_.rows.size() - rows_before));
    EXPECT_EQ(sum.rejected, static_cast<std::int64_t>(database_.rejects.size()));
    std::int64_t position = 0;
    for (const SentBatch& batch : database_.committed) {
      EXPECT_GE(batch.position, position);
      position = batch.position;
    }
  }

  FakeDatabase database_;
  StreamInfo stream_ = PlainStream();
  PlainMapper mapper_;
  ledger::ClaimedTask task_;
  PlainPage page_;
  BatchWriter writer_{database_.Sessions(), WriterOptions{}};
};

// The database refuses the row of `id`.
inline std::optional<Error> IfCopied(const SentBatch& batch, std::string_view id,
                                     const std::string& sqlstate) {
  if (!batch.Copies(id)) return std::nullopt;
  return DataError(sqlstate);
}

}  // namespace weir::worker::testing
