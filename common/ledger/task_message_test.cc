#include "common/ledger/task_message.h"

#include <gtest/gtest.h>

#include "proto/task.pb.h"

namespace weir::ledger {
namespace {

ReadyTask Sample(Selector selector) {
  ReadyTask task;
  task.id = TaskId{17};
  task.job = JobId{4};
  task.lane = LaneId{"lichess:ip", 2};
  task.source = "lichess";
  task.stream = "games";
  task.account = "DrNykterstein";
  task.selector = std::move(selector);
  task.attempts = 3;
  task.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  return task;
}

TEST(TaskMessage, ARoundTripKeepsWhatAWorkerNeeds) {
  auto task = DecodeTask(EncodeTask(Sample({SelectorKind::kWindow, 10, 20, ""})));
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->task, TaskId{17});
  EXPECT_EQ(task->job, JobId{4});
  EXPECT_EQ(task->lane, (LaneId{"lichess:ip", 2}));
  EXPECT_EQ(task->source, "lichess");
  EXPECT_EQ(task->stream, "games");
  EXPECT_EQ(task->account, "DrNykterstein");
  EXPECT_EQ(task->traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
}

TEST(TaskMessage, EverySelectorCanBeReadFromTheTopic) {
  wire::Task message;
  const auto encode = [&](SelectorKind kind, std::int64_t lo, std::int64_t hi, std::string key) {
    ASSERT_TRUE(message.ParseFromString(EncodeTask(Sample({kind, lo, hi, std::move(key)}))));
  };
  encode(SelectorKind::kDiscover, 0, 0, "");
  EXPECT_TRUE(message.has_discover());
  encode(SelectorKind::kPages, 1, 5, "");
  EXPECT_EQ(message.pages().lo(), 1);
  EXPECT_EQ(message.pages().hi(), 5);
  encode(SelectorKind::kNewest, 7, 9, "");
  EXPECT_EQ(message.newest().hi(), 9);
  encode(SelectorKind::kArchive, 0, 0, "2023/03");
  EXPECT_EQ(message.archive().key(), "2023/03");
  encode(SelectorKind::kIds, 0, 0, "a,b,c");
  EXPECT_EQ(message.ids().count(), 3);
  encode(SelectorKind::kCursor, 0, 0, "next");
  EXPECT_EQ(message.cursor().key(), "next");
  EXPECT_EQ(message.attempt(), 3);
}

TEST(TaskMessage, GarbageAndUnknownVersionsAreInvalid) {
  for (const std::string& bytes :
       {std::string("\xff\xff\xff", 3), std::string("{\"task\": 1}"), std::string()}) {
    auto task = DecodeTask(bytes);
    ASSERT_FALSE(task);
    EXPECT_EQ(task.error().error_class, ErrorClass::kInvalid);
  }
  wire::Task message;
  ASSERT_TRUE(message.ParseFromString(EncodeTask(Sample({}))));
  message.set_schema_version(2);
  EXPECT_EQ(DecodeTask(message.SerializeAsString()).error().error_class, ErrorClass::kInvalid);
  message.set_schema_version(1);
  message.set_task_id(0);
  EXPECT_EQ(DecodeTask(message.SerializeAsString()).error().error_class, ErrorClass::kInvalid);
}

}  // namespace
}  // namespace weir::ledger
