// What Kafka may do to messages: forget who read them, lose them, repeat and shuffle them.
#include <algorithm>

#include "common/kafka/producer.h"
#include "tests/faults/fault_fixture.h"

namespace weir::faults {
namespace {

class ApacheKafkaTopic : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    Control("settings", {{"latency_ms", 100}});
    StartProducer();
    StartWorkers(2);
    Make({"chesscom", "hikaru", 2'500});
    Make({"lichess", "alice", 5'000});
    Enqueue("chesscom", {"hikaru"});
    Enqueue("lichess", {"alice"});
    ASSERT_TRUE(AwaitFetched(50)) << members_.front()->process->Err();
  }
  void End() {
    Control("settings", {{"latency_ms", 0}});
    ASSERT_TRUE(AwaitEnded());
    ExpectWhole();
  }
};

TEST_F(ApacheKafkaTopic, EmptiedWhileTasksLieInIt) {
  for (int i = 0; i < 5; ++i) {
    const auto emptied = kafka::testing::Empty(kafka_->Brokers(), TaskTopics());
    ASSERT_TRUE(emptied) << emptied.error().message;
    const std::int64_t fetched = Fetched();
    ASSERT_TRUE(AwaitFetched(fetched + 100)) << producer_->Err();
  }
  End();
}

// Everything that was ever sent is delivered again.
TEST_F(ApacheKafkaTopic, GroupOffsetsDeleted) {
  for (const auto& member : members_) Kill(*member);
  members_.clear();
  // Only an empty group can be deleted: its dead members are missed after their session.
  Result<void> deleted;
  EXPECT_TRUE(process::WaitUntil(
      [&] {
        deleted = kafka::testing::DeleteGroup(kafka_->Brokers(), "weir-workers");
        return deleted.has_value();
      },
      kPatience))
      << deleted.error().message;
  const auto lag = kafka::testing::Lag(kafka_->Brokers(), "weir-workers", TaskTopics());
  const auto held = kafka::testing::Held(kafka_->Brokers(), TaskTopics());
  ASSERT_TRUE(lag && held);
  EXPECT_EQ(*lag, *held);
  StartWorkers(2);
  End();
  ExpectNothingReadTwice();
}

TEST_F(ApacheKafkaTopic, RepeatedAndShuffled) {
  auto producer =
      kafka::Producer::Create({.brokers = kafka_->Brokers(), .properties = {}, .client_id = "t", .log = {}});
  ASSERT_TRUE(producer);
  for (int i = 0; i < 3; ++i) {
    std::vector<kafka::OutgoingMessage> messages = EveryTask();
    std::shuffle(messages.begin(), messages.end(), Random());
    const auto sent = (*producer)->Send(messages, std::chrono::seconds(20));
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_EQ(*sent, std::vector<bool>(messages.size(), true));
  }
  End();
  ExpectNothingReadTwice();
}

}  // namespace
}  // namespace weir::faults
