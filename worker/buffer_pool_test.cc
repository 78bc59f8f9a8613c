#include "worker/buffer_pool.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace weir::worker {
namespace {

TEST(BufferPoolTest, WhatIsGivenBackIsTakenAgainEmpty) {
  BufferPool pool;
  auto prepared = pool.TakePrepared();
  prepared->records.Add("{\"id\":1}", {});
  prepared->copy.assign(5'000, 'x');
  const PreparedBatch* const was = prepared.get();
  const char* const bytes = prepared->copy.data();
  pool.Give(std::move(prepared));
  prepared = pool.TakePrepared();
  EXPECT_EQ(prepared.get(), was);
  EXPECT_TRUE(prepared->records.Empty());
  EXPECT_TRUE(prepared->copy.empty());
  const std::string copy = pool.TakeCopy();
  EXPECT_EQ(copy.data(), bytes) << "a batch that is only held until its commit needs no copy";
  EXPECT_TRUE(copy.empty());
}

TEST(BufferPoolTest, WhatAnUnusualBatchTookIsFreed) {
  BufferPool pool;
  pool.GiveCopy(std::string(3U << 20, 'x'));
  EXPECT_LT(pool.TakeCopy().capacity(), 1U << 20);
  RecordBatch records;
  const std::string large(3U << 20, 'x');
  records.Add(large, {});
  pool.Give(std::move(records));
  records = pool.TakeRecords();
  EXPECT_TRUE(records.Empty());
  records.Add("{}", {});
  EXPECT_EQ(records.Bytes(), 2U);
}

}  // namespace
}  // namespace weir::worker
