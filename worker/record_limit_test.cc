// `--limit`: so many new records and no more, compared with a model that is too simple to be wrong.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "worker/batch_writer.h"
#include "worker/testing/fake_database.h"
#include "worker/testing/plain_records.h"

namespace weir::worker {
namespace {

using testing::DataError;
using testing::FakeDatabase;
using testing::PlainMapper;
using testing::PlainPage;
using testing::PlainStream;
using testing::SentBatch;

struct Case {
  std::vector<std::string> page;         // newest first, a millisecond each, ids repeated
  std::set<std::string> known, refused;  // stored before; refused by the database
  std::set<std::string> raced;           // another lane writes them after the look-up
  std::int64_t budget = 0;
  std::size_t batch = 1;
};

std::string IdOf(const std::string& raw) { return raw.substr(0, raw.find(' ')); }

Case Make(std::mt19937& random) {
  const auto upto = [&](int n) { return std::uniform_int_distribution<int>(0, n)(random); };
  Case made;
  const int records = upto(60), ids = 1 + upto(40);
  for (int i = 0; i < records; ++i) {
    const std::string id = "r" + std::to_string(upto(ids));
    const std::string text = upto(9) == 0 ? "bad" : "v" + std::to_string(upto(2));
    made.page.push_back(id + " " + std::to_string(10'000 - i) + " " + text);
    if (upto(7) == 0) made.known.insert(id);
    if (upto(19) == 0) made.refused.insert(id);
    if (upto(9) == 0) made.raced.insert(id);
  }
  made.budget = 1 + upto(30);
  made.batch = static_cast<std::size_t>(1 + upto(20));
  return made;
}

class RecordLimitTest : public ::testing::TestWithParam<int> {};

TEST_P(RecordLimitTest, TakesExactlySoManyNewRecordsAndSkipsNone) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  for (int round = 0; round < 100; ++round) {
    const Case c = Make(random);
    SCOPED_TRACE(::testing::Message() << "seed " << GetParam() << " round " << round);
    FakeDatabase database;
    for (const std::string& id : c.known) database.rows[id] = {1};
    auto raced = c.raced;
    std::size_t foreign = 0;
    database.at_commit = [&](const SentBatch& batch) -> std::optional<Error> {
      for (const auto& [id, hash] : batch.copied) {
        if (c.refused.contains(id)) return DataError("22003");
        if (raced.erase(id) > 0) foreign += database.rows.emplace(id, FakeDatabase::Row{2}).second ? 1 : 0;
      }
      return std::nullopt;
    };
    const StreamInfo stream = PlainStream();
    PlainMapper mapper;
    ledger::ClaimedTask task;
    BatchWriter writer(database.Sessions(), WriterOptions{});
    writer.Begin(&task, &stream, &mapper, /*lookup=*/random() % 2 == 0);
    PlainPage page;
    std::int64_t inserted = 0, last_ms = 0;
    for (std::size_t from = 0; from < c.page.size() && inserted < c.budget; from += c.batch) {
      const std::size_t to = std::min(from + c.batch, c.page.size());
      RecordBatch batch = page.Batch({c.page.begin() + static_cast<std::ptrdiff_t>(from),
                                      c.page.begin() + static_cast<std::ptrdiff_t>(to)});
      auto written = writer.WriteUpTo(batch, c.budget - inserted, {});
      ASSERT_TRUE(written) << written.error().message;
      inserted += written->counts.inserted;
      last_ms = written->last_order_ms;
    }
    // The table and the counters say the same.
    const SentBatch sum = database.Totals();
    EXPECT_EQ(inserted, sum.inserted);
    EXPECT_EQ(static_cast<std::size_t>(inserted), database.rows.size() - c.known.size() - foreign);
    EXPECT_EQ(sum.rejected, static_cast<std::int64_t>(database.rejects.size()));
    EXPECT_EQ(sum.fetched, sum.inserted + sum.updates + sum.unchanged + sum.rejected + sum.duplicates);
    // No more than asked for, and no fewer while there were any.
    EXPECT_LE(inserted, c.budget);
    if (inserted < c.budget && !c.page.empty()) {
      EXPECT_EQ(last_ms, 10'001 - static_cast<std::int64_t>(c.page.size())) << "read to its end";
    }
    // Whatever is not older than the last record taken is stored, or among the rejects.
    for (std::size_t i = 0; i < c.page.size() && 10'000 - static_cast<std::int64_t>(i) >= last_ms; ++i) {
      const bool rejected = std::any_of(c.page.begin(), c.page.end(), [&](const std::string& raw) {
        return IdOf(raw) == IdOf(c.page[i]) && (raw.ends_with("bad") || c.refused.contains(IdOf(raw)));
      });
      EXPECT_TRUE(rejected || database.rows.contains(IdOf(c.page[i]))) << c.page[i];
    }
    // Where all goes well, the model knows the very records.
    const bool plain = c.refused.empty() && c.raced.empty() &&
                       std::none_of(c.page.begin(), c.page.end(),
                                    [](const std::string& raw) { return raw.ends_with("bad"); });
    if (!plain) continue;
    std::set<std::string> wanted;
    for (const std::string& raw : c.page) {
      if (static_cast<std::int64_t>(wanted.size()) == c.budget) break;
      if (!c.known.contains(IdOf(raw))) wanted.insert(IdOf(raw));
    }
    std::set<std::string> stored;
    for (const auto& [id, row] : database.rows) {
      if (!c.known.contains(id)) stored.insert(id);
    }
    EXPECT_EQ(stored, wanted);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RecordLimitTest, ::testing::Range(1, 9));

}  // namespace
}  // namespace weir::worker
