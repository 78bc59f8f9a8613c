#include "worker/poll_loop.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "common/ledger/migrations.h"
#include "common/pg/migrations.h"
#include "tests/support/postgres/test_postgres.h"

namespace weir::worker {
namespace {

using kafka::TopicPartition;
using std::chrono::milliseconds;

const TopicPartition kP0{"weir.tasks", 0};
const TopicPartition kP1{"weir.tasks.interactive", 1};
const TopicPartition kP2{"weir.tasks", 2};

// What a broker would hold, and what was stored and sent.
struct FakeKafka {
  std::map<TopicPartition, std::deque<kafka::Message>> queues;
  std::map<TopicPartition, std::int64_t> stored;
  std::vector<kafka::OutgoingMessage> sent;
  bool broker_up = true;
  kafka::RebalanceListener* listener = nullptr;

  void Put(const TopicPartition& to, std::int64_t offset, const std::string& value) {
    queues[to].push_back({to, offset, "k", value, {}});
  }
};

class FakeConsumer final : public kafka::Consumer {
 public:
  explicit FakeConsumer(FakeKafka* kafka) : kafka_(kafka) {}
  Result<void> Poll(milliseconds) override { return {}; }
  std::optional<kafka::Message> Next(const TopicPartition& from) override {
    auto& queue = kafka_->queues[from];
    if (queue.empty()) return std::nullopt;
    auto message = std::move(queue.front());
    queue.pop_front();
    return message;
  }
  std::vector<TopicPartition> Assignment() const override { return {}; }
  Result<void> StoreOffset(const TopicPartition& from, std::int64_t next) override {
    kafka_->stored[from] = next;
    return {};
  }
  Result<void> CommitNow() override { return {}; }
  void Close(milliseconds) override {}
  std::int64_t BytesReceived() const override { return 0; }

 private:
  FakeKafka* kafka_;
};

class FakeProducer final : public kafka::Producer {
 public:
  explicit FakeProducer(FakeKafka* kafka) : kafka_(kafka) {}
  Result<std::vector<bool>> Send(const std::vector<kafka::OutgoingMessage>& messages, milliseconds) override {
    if (!kafka_->broker_up) return std::vector<bool>(messages.size(), false);
    kafka_->sent.insert(kafka_->sent.end(), messages.begin(), messages.end());
    return std::vector<bool>(messages.size(), true);
  }

 private:
  FakeKafka* kafka_;
};

class PollLoopTest : public ::testing::Test {
 protected:
  PollLoopTest() : pool_(database_.Options(), 2), scheduler_(&clock_), loop_(Parts()) {
    pg::Session session(database_.Options());
    EXPECT_TRUE(pg::Up(session, ledger::AllMigrations()));
    loop_.RunOnce(milliseconds(0));
    kafka_.listener->OnAssigned({kP0, kP1});
  }

  PollLoop::Parts Parts() {
    PollLoop::Parts parts{.clock = &clock_,
                          .scheduler = &scheduler_,
                          .finished = &finished_,
                          .pool = &pool_,
                          .metrics = &metrics_,
                          .new_consumer = {},
                          .new_producer = {}};
    parts.new_consumer =
        [this](kafka::RebalanceListener* listener) -> Result<std::unique_ptr<kafka::Consumer>> {
      kafka_.listener = listener;
      return std::make_unique<FakeConsumer>(&kafka_);
    };
    parts.new_producer = [this]() -> Result<std::unique_ptr<kafka::Producer>> {
      return std::make_unique<FakeProducer>(&kafka_);
    };
    return parts;
  }

  static std::string Task(std::int64_t id) {
    ledger::ReadyTask task;
    task.id = TaskId{id + 1};
    task.job = JobId{1};
    task.account = "a";
    task.lane = LaneId{"m" + std::to_string(id), 0};
    task.source = "s";
    task.stream = "t";
    return ledger::EncodeTask(task);
  }
  void Finish(LaneScheduler::Work work) {
    finished_.Push(std::move(work.delivery));
    scheduler_.Done(work.lane, work.delivery.message.task, milliseconds(0));
    loop_.RunOnce(milliseconds(0));
  }

  testing::TestPostgres database_;
  ManualClock clock_;
  pg::SessionPool pool_;
  Metrics metrics_{"test", "0"};
  LaneScheduler scheduler_;
  FinishedQueue finished_;
  FakeKafka kafka_;
  PollLoop loop_;
};

// DESIGN §4.3.
TEST_F(PollLoopTest, AnOffsetIsStoredOnlyWhenItsTaskIsFinishedAndNeverPastAnUnfinishedOne) {
  for (int i = 0; i < 3; ++i) kafka_.Put(kP0, 10 + i, Task(i));
  loop_.RunOnce(milliseconds(0));
  auto first = *scheduler_.TryTake();
  auto second = *scheduler_.TryTake();
  Finish(second);
  EXPECT_FALSE(kafka_.stored.contains(kP0));
  Finish(first);
  EXPECT_EQ(kafka_.stored[kP0], 12);
}

TEST_F(PollLoopTest, GarbageIsOnTheDeadLetterTopicBeforeItsOffsetIsStored) {
  kafka_.Put(kP0, 5, "no protobuf \xff\xff");
  kafka_.broker_up = false;
  loop_.RunOnce(milliseconds(0));
  loop_.RunOnce(milliseconds(0));
  EXPECT_FALSE(kafka_.stored.contains(kP0)) << "the broker did not take the dead letter";
  kafka_.broker_up = true;
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(kafka_.sent.size(), 1U);
  EXPECT_EQ(kafka_.stored[kP0], 6);
  EXPECT_EQ(database_.Query("select count(*) from weir.garbage"), "1");
}

TEST_F(PollLoopTest, CompletionsOfAnOlderAssignmentAreIgnored) {
  kafka_.Put(kP0, 5, Task(1));
  loop_.RunOnce(milliseconds(0));
  auto work = *scheduler_.TryTake();
  kafka_.listener->OnRevoked({kP0});
  kafka_.listener->OnAssigned({kP0});
  Finish(work);
  EXPECT_FALSE(kafka_.stored.contains(kP0));
}

TEST_F(PollLoopTest, GarbageIsKeptShownAndDeadLetteredAndStopsNothing) {
  kafka_.Put(kP0, 1, "no protobuf \xff\xff");
  kafka_.Put(kP0, 2, Task(2));
  loop_.RunOnce(milliseconds(0));
  loop_.RunOnce(milliseconds(0));
  ASSERT_EQ(kafka_.sent.size(), 1U);
  EXPECT_EQ(kafka_.sent[0].value, "no protobuf \xff\xff") << "the original bytes";
  std::map<std::string, std::string> headers;
  for (const kafka::Header& header : kafka_.sent[0].headers) headers[header.name] = header.value;
  EXPECT_EQ(headers.at("__dlq.errors.topic"), "weir.tasks");
  EXPECT_EQ(headers.at("__dlq.errors.offset"), "1");
  EXPECT_EQ(headers.at("__dlq.errors.group"), "weir-workers");
  EXPECT_EQ(headers.at("weir-kind"), "garbage");
  EXPECT_EQ(kafka_.stored[kP0], 2);
  EXPECT_EQ(database_.Query("select count(*) from weir.garbage"), "1");
  EXPECT_TRUE(scheduler_.TryTake());
}

TEST_F(PollLoopTest, WhatAWorkerTakesIsBounded) {
  for (int i = 0; i < 5'000; ++i) kafka_.Put(kP0, i, Task(i));
  for (int i = 0; i < 5'000; ++i) kafka_.Put(kP1, i, Task(i));
  for (int i = 0; i < 10; ++i) loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 512U) << "256 of each partition";
}

// Else the first partitions get each place that is free, and lanes of the last ones run dry.
TEST_F(PollLoopTest, WhereMoreWaitsThanIsTakenNoPartitionGoesShort) {
  kafka_.listener->OnAssigned({kP2});
  const std::vector<TopicPartition> all{kP0, kP1, kP2};
  for (std::size_t p = 0; p < all.size(); ++p) {
    for (int i = 0; i < 5'000; ++i) kafka_.Put(all[p], i, Task(static_cast<int>(p)));
  }
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 512U);
  // Of the others the first task runs on and on.
  std::map<std::string, LaneScheduler::Work> works;
  for (int i = 0; i < 3; ++i) {
    auto work = *scheduler_.TryTake();
    works.emplace(work.lane.meter, work);
  }
  for (int i = 0; i < 100; ++i) {
    Finish(works.at("m2"));
    works.at("m2") = *scheduler_.TryTake();
    ASSERT_EQ(works.at("m2").lane.meter, "m2");
  }
  scheduler_.Drop({kP0, kP1});
  EXPECT_GE(scheduler_.Queued(), 169U) << "what it had at first";
}

TEST_F(PollLoopTest, NothingNewIsTakenWhileDraining) {
  loop_.StopTaking();
  kafka_.Put(kP0, 1, Task(1));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 0U);
}

}  // namespace
}  // namespace weir::worker
