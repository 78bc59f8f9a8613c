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
  kafka::RebalanceListener* listener = nullptr;
  std::optional<Error> poll_error;

  void Put(const TopicPartition& to, std::int64_t offset, const std::string& value) {
    queues[to].push_back({to, offset, "k", value, {}});
  }
};

class FakeConsumer final : public kafka::Consumer {
 public:
  explicit FakeConsumer(FakeKafka* kafka) : kafka_(kafka) {}
  Result<void> Poll(milliseconds) override {
    if (kafka_->poll_error) return Fail(*kafka_->poll_error);
    return {};
  }
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
                          .garbage = &garbage_,
                          .metrics = &metrics_,
                          .new_consumer = {}};
    parts.new_consumer =
        [this](kafka::RebalanceListener* listener) -> Result<std::unique_ptr<kafka::Consumer>> {
      kafka_.listener = listener;
      return std::make_unique<FakeConsumer>(&kafka_);
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
  GarbageKeeper garbage_{&finished_};
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

TEST_F(PollLoopTest, GarbageIsInTheLedgerBeforeItsOffsetIsStored) {
  kafka_.Put(kP0, 5, "no protobuf \xff\xff");
  loop_.RunOnce(milliseconds(0));
  loop_.RunOnce(milliseconds(0));
  EXPECT_FALSE(kafka_.stored.contains(kP0)) << "nobody has written it down";
  ASSERT_TRUE(garbage_.RunOnce(pool_));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(kafka_.stored[kP0], 6);
  EXPECT_EQ(database_.Query("select count(*) from weir.garbage where letter_due"), "1");
}

// The database is away: what cannot be kept holds up its own partition, and nothing else.
TEST_F(PollLoopTest, GarbageThatCannotBeKeptStopsNoOtherPartition) {
  for (int i = 0; i < 1'000; ++i) kafka_.Put(kP0, i, "no protobuf \xff\xff");
  loop_.RunOnce(milliseconds(0));
  kafka_.Put(kP1, 0, Task(1));
  loop_.RunOnce(milliseconds(0));
  EXPECT_TRUE(scheduler_.TryTake());
  EXPECT_GT(kafka_.queues[kP0].size(), 900u) << "what a worker takes of it is bounded";
  for (int i = 0; i < 50; ++i) {
    if (!kafka_.queues[kP0].empty() || i == 0) {
      ASSERT_TRUE(garbage_.RunOnce(pool_));
    }
    loop_.RunOnce(milliseconds(0));
  }
  EXPECT_EQ(kafka_.queues[kP0].size(), 0u);
}

// The topic was made again, or an unclean election lost its end.
TEST_F(PollLoopTest, OffsetsThatGoBackBeginANewLog) {
  for (int i = 0; i < 3; ++i) kafka_.Put(kP0, 100 + i, Task(i));
  loop_.RunOnce(milliseconds(0));
  auto old = *scheduler_.TryTake();
  for (int i = 0; i < 2; ++i) kafka_.Put(kP0, i, Task(10 + i));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 2U) << "what was queued of the former log is forgotten";
  Finish(old);
  EXPECT_FALSE(kafka_.stored.contains(kP0)) << "an offset of the former log means nothing in this one";
  auto next = *scheduler_.TryTake();
  Finish(next);
  EXPECT_EQ(kafka_.stored[kP0], 1);
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

// A cooperative group's revocation is of some partitions, in the middle of pages.
TEST_F(PollLoopTest, WhatIsRevokedIsLetGoAndTheRestKeepsItsTasksAndOffsets) {
  kafka_.Put(kP0, 5, Task(1));
  kafka_.Put(kP0, 6, Task(2));
  kafka_.Put(kP1, 7, Task(3));
  kafka_.Put(kP1, 8, Task(4));
  loop_.RunOnce(milliseconds(0));
  std::map<std::int64_t, LaneScheduler::Work> running;
  for (int i = 0; i < 4; ++i) {
    auto work = *scheduler_.TryTake();
    running.emplace(work.delivery.offset, work);
  }
  kafka_.Put(kP0, 10, Task(5));
  kafka_.Put(kP1, 11, Task(6));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 2U);
  kafka_.listener->OnRevoked({kP0});
  kafka_.listener->OnAssigned({});
  EXPECT_EQ(scheduler_.Queued(), 1U) << "what stays keeps its tasks";
  Finish(running.at(5));
  EXPECT_FALSE(kafka_.stored.contains(kP0)) << "another worker has the partition";
  Finish(running.at(7));
  EXPECT_EQ(kafka_.stored[kP1], 8);
}

TEST_F(PollLoopTest, WhatIsAssignedInAdditionChangesNothingOfTheRest) {
  kafka_.Put(kP0, 5, Task(1));
  loop_.RunOnce(milliseconds(0));
  auto work = *scheduler_.TryTake();
  kafka_.listener->OnAssigned({kP2});
  kafka_.Put(kP2, 1, Task(2));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 1U);
  Finish(work);
  EXPECT_EQ(kafka_.stored[kP0], 6);
}

// The page that ran when the partition went ends after it came back: the message comes again from what was
// committed, maybe with the same offset.
TEST_F(PollLoopTest, APartitionThatComesBackBeginsWithWhatWasCommitted) {
  kafka_.Put(kP0, 5, Task(1));
  kafka_.Put(kP0, 6, Task(2));
  loop_.RunOnce(milliseconds(0));
  auto first = *scheduler_.TryTake();
  kafka_.listener->OnRevoked({kP0});
  EXPECT_EQ(scheduler_.Queued(), 0U);
  kafka_.listener->OnAssigned({kP0});
  kafka_.Put(kP0, 5, Task(1));
  kafka_.Put(kP0, 6, Task(2));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 2U);
  Finish(first);
  EXPECT_FALSE(kafka_.stored.contains(kP0)) << "it was of the former assignment";
  for (int i = 0; i < 2; ++i) {
    auto again = scheduler_.TryTake();
    ASSERT_TRUE(again);
    Finish(*again);
  }
  EXPECT_EQ(kafka_.stored[kP0], 7);
}

TEST_F(PollLoopTest, OfWhatIsLostNothingIsStored) {
  kafka_.Put(kP0, 5, Task(1));
  kafka_.Put(kP1, 7, Task(2));
  loop_.RunOnce(milliseconds(0));
  auto work = *scheduler_.TryTake();
  scheduler_.Done(work.lane, work.delivery.message.task, milliseconds(0));
  finished_.Push(std::move(work.delivery));
  kafka_.listener->OnLost({kP0, kP1});
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 0U);
  EXPECT_TRUE(kafka_.stored.empty());
}

TEST_F(PollLoopTest, WhoIsRefusedByTheGroupMakesNoOtherClient) {
  kafka_.Put(kP0, 5, Task(1));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(scheduler_.Queued(), 1U);
  kafka_.poll_error = MakeError(ErrorClass::kConfig, "a mixed group");
  loop_.RunOnce(milliseconds(0));
  ASSERT_TRUE(loop_.Refused());
  EXPECT_EQ(loop_.Refused()->message, "a mixed group");
  EXPECT_EQ(scheduler_.Queued(), 0U);
  kafka_.listener = nullptr;
  clock_.Advance(milliseconds(60'000));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(kafka_.listener, nullptr) << "a new client would be refused too";
}

TEST_F(PollLoopTest, GarbageStopsNoTaskBehindIt) {
  kafka_.Put(kP0, 1, "no protobuf \xff\xff");
  kafka_.Put(kP0, 2, Task(2));
  loop_.RunOnce(milliseconds(0));
  EXPECT_TRUE(scheduler_.TryTake());
  ASSERT_TRUE(garbage_.RunOnce(pool_));
  loop_.RunOnce(milliseconds(0));
  EXPECT_EQ(kafka_.stored[kP0], 2);
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
