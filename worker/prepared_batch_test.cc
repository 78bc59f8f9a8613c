#include "worker/prepared_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker/testing/plain_records.h"

namespace weir::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::PlainMapper;
using testing::PlainPage;
using testing::PlainStream;
using ::testing::SizeIs;

class PreparedBatchTest : public ::testing::Test {
 protected:
  struct Known {
    std::string id;
    PreparedBatch::Stored stored;
  };

  void Prepare(const std::vector<std::string>& records, const std::vector<Known>& known = {},
               std::int64_t max_new = PreparedBatch::kNoLimit) {
    RecordBatch batch = page_.Batch(records);
    for (const std::size_t i : outside_) batch.Records()[i].outside = true;
    batch_.Take(batch, max_new);
    batch_.as_text = true;  // rows that a test can read
    batch_.StartAt(0, 0);
    batch_.ResetEncoding();
    batch_.DropDuplicates();
    for (const Known& row : known) batch_.Found(row.id, row.stored);
    batch_.EncodeRows(stream_.table, mapper_, "mine", 3);
  }

  // "id text" of the rows to insert, in their order.
  std::vector<std::string> Rows() const {
    std::vector<std::string> rows;
    for (std::size_t at = 0; at < batch_.copy.size();) {
      const std::size_t end = batch_.copy.find('\n', at);
      const std::string line = batch_.copy.substr(at, end - at);
      const std::size_t id = line.find('\t') + 1, text = line.find('\t', id) + 1;
      rows.push_back(line.substr(id, text - id - 1) + " " + line.substr(text, line.find('\t', text) - text));
      at = end + 1;
    }
    return rows;
  }

  StreamInfo stream_ = PlainStream();
  PlainMapper mapper_;
  PlainPage page_;
  PreparedBatch batch_;
  std::vector<std::size_t> outside_;
};

TEST_F(PreparedBatchTest, EachRecordIsCountedOnceAsWhatBecomesOfIt) {
  outside_ = {6};
  Prepare({"new 1 x", "same 1 x", "changed 1 x", "stale 1 x", "twice 1 x", " 1 x", "outside 1 x", "twice 1 y",
           "broken 1 bad"},
          {{"same", {ContentHash("same 1 x"), false}},
           {"changed", {1, false}},
           {"stale", {ContentHash("stale 1 x"), true}}});
  EXPECT_EQ(batch_.counts.fetched, 8);
  EXPECT_EQ(batch_.counts.inserted, 2);
  EXPECT_EQ(batch_.counts.unchanged, 1);
  EXPECT_EQ(batch_.counts.updated, 2);
  EXPECT_EQ(batch_.counts.duplicates, 1);
  EXPECT_EQ(batch_.counts.rejected, 2);
  EXPECT_THAT(batch_.rejects, SizeIs(2));
  EXPECT_EQ(batch_.end_position, 9);
  EXPECT_TRUE(batch_.unnamed);
  EXPECT_TRUE(batch_.kept);
  EXPECT_THAT(batch_.met, ElementsAre("broken", "changed", "new", "outside", "same", "stale", "twice"));
}

TEST_F(PreparedBatchTest, TheLastRecordOfAnIdWins) {
  Prepare({"a 1 old", "b 1 x", "a 1 new"});
  EXPECT_THAT(Rows(), ElementsAre("a new", "b x"));
}

TEST_F(PreparedBatchTest, RowsGoInTheOrderOfTheirKeysWithALimitToo) {
  Prepare({"c 3 x", "a 2 x", "b 1 x"});
  EXPECT_THAT(Rows(), ElementsAre("a x", "b x", "c x"));
  Prepare({"c 3 x", "a 2 x", "b 1 x"}, {}, 2);
  EXPECT_THAT(Rows(), ElementsAre("a x", "c x"));
}

TEST_F(PreparedBatchTest, ALimitCutsAfterItsLastNewRecord) {
  Prepare({"a 9 x", "known 8 x", "b 7 x", "c 6 x"}, {{"known", {1, false}}}, 2);
  EXPECT_THAT(Rows(), ElementsAre("a x", "b x"));
  EXPECT_EQ(batch_.counts.updated, 1);
  EXPECT_EQ(batch_.Taken(), 3U);
  EXPECT_EQ(batch_.end_position, 3);
  EXPECT_THAT(batch_.met, ElementsAre("a", "b", "known"));
}

// It counted as a duplicate of a record that was cut off, and was stored nowhere.
TEST_F(PreparedBatchTest, ARecordWhoseLaterCopyIsCutOffIsStored) {
  Prepare({"a 9 first", "b 8 x", "c 7 x", "a 6 second"}, {}, 2);
  EXPECT_THAT(Rows(), ElementsAre("a first", "b x"));
  EXPECT_EQ(batch_.counts.duplicates, 0);
  Prepare({"a 9 first", "a 8 second", "b 7 x", "c 6 x"}, {}, 2);
  EXPECT_THAT(Rows(), ElementsAre("a second", "b x"));
  EXPECT_EQ(batch_.counts.duplicates, 1);
}

TEST_F(PreparedBatchTest, ARejectedRecordDoesNotSpendTheLimit) {
  Prepare({"a 9 bad", "b 8 x", "c 7 bad", "d 6 x", "e 5 x"}, {}, 2);
  EXPECT_THAT(Rows(), ElementsAre("b x", "d x"));
  EXPECT_THAT(batch_.rejects, SizeIs(2)) << "each once";
  // A rejected record's good copy is new again; never one too many.
  Prepare({"a 9 bad", "b 8 x", "c 7 x", "a 6 x", "d 5 x"}, {}, 3);
  EXPECT_THAT(Rows(), ElementsAre("a x", "b x", "c x"));
  // A good record whose later copy is taken with it, and is bad.
  Prepare({"a 9 x", "b 8 bad", "a 7 bad", "c 6 x", "d 5 x", "e 4 x"}, {}, 2);
  EXPECT_THAT(Rows(), ElementsAre("c x", "d x"));
}

TEST_F(PreparedBatchTest, ALimitOfNothingTakesNothing) {
  Prepare({"a 9 x"}, {}, 0);
  EXPECT_THAT(Rows(), IsEmpty());
  EXPECT_EQ(batch_.counts.fetched, 0);
  EXPECT_EQ(batch_.end_position, 0);
}

TEST_F(PreparedBatchTest, APartIsABatchOfItsOwn) {
  Prepare({"a 9 x", "b 8 x", "c 7 x"});
  batch_.races = 4;
  PreparedBatch part;
  batch_.CopyTo(1, 3, part);
  part.StartAt(1, 0);
  part.ResetEncoding();
  part.DropDuplicates();
  part.EncodeRows(stream_.table, mapper_, "mine", 3);
  EXPECT_EQ(part.counts.inserted, 2);
  EXPECT_EQ(part.races, 4);
  EXPECT_EQ(part.end_position, 3);
  EXPECT_EQ(part.end_digest, batch_.end_digest);
}

TEST_F(PreparedBatchTest, ABatchWithoutRecordsStaysWhereItStands) {
  Prepare({});
  batch_.StartAt(7, 9);
  batch_.EncodeRows(stream_.table, mapper_, "mine", 3);
  EXPECT_EQ(batch_.end_position, 7);
  EXPECT_EQ(batch_.end_digest, 9);
  EXPECT_TRUE(batch_.copy.empty());
}

}  // namespace
}  // namespace weir::worker
