// Producer, Admin and what becomes of clients when their broker goes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "common/kafka/testing/child_process.h"
#include "common/kafka/testing/kafka_fixture.h"

namespace weir::kafka::testing {
namespace {

class BrokerTest : public KafkaTest {};
INSTANTIATE_TEST_SUITE_P(On, BrokerTest, ::testing::Values(Backend::kEmbedded, Backend::kApache),
                         BackendName);

TEST_P(BrokerTest, WeirsTopicsAreMadeOnceAndFound) {
  auto admin = Admin::Create(Client());
  ASSERT_TRUE(admin);
  for (int i = 0; i < 2; ++i) {
    const auto made = (*admin)->EnsureTopics(-1, seconds{30});
    ASSERT_TRUE(made) << made.error().message;
  }
  const auto found = (*admin)->Check(seconds{10});
  EXPECT_TRUE(found) << found.error().message;
}

TEST_P(BrokerTest, TooFewPartitionsAreAnErrorOfConfiguration) {
  auto admin = Admin::Create(Client());
  ASSERT_TRUE(admin);
  const auto refused = (*admin)->CreateTopic(tasks_, 49, -1, seconds{30});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig);
  EXPECT_NE(refused.error().message.find("has 48 partitions, weir needs 49"), std::string::npos);
}

// A cooperative group reads interactive tasks of the partitions that the other topic has, too.
TEST_P(BrokerTest, TaskTopicsOfDifferentSizeAreAnErrorOfConfiguration) {
  if (!OnApache()) return;  // it has weir's topics, and makes none
  ClientOptions options = Client();
  options.topic_prefix = unique_ + ".uneven.";
  auto admin = Admin::Create(options);
  ASSERT_TRUE(admin && (*admin)->CreateTopic(TopicsOf(options).interactive, 50, -1, seconds{30}));
  std::vector<Result<void>> both;
  both.push_back((*admin)->EnsureTopics(-1, seconds{30}));
  both.push_back((*admin)->Check(seconds{10}));
  for (const auto& refused : both) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error_class, ErrorClass::kConfig) << refused.error().message;
    EXPECT_NE(refused.error().message.find("has 50; weir needs as many of both"), std::string::npos)
        << refused.error().message;
  }
}

TEST_P(BrokerTest, AMissingTopicIsMadeWhereTheBrokerCan) {
  auto admin = Admin::Create(Client());
  ASSERT_TRUE(admin);
  const auto made = (*admin)->CreateTopic(unique_ + ".new", 3, -1, OnApache() ? seconds{30} : seconds{2});
  if (OnApache()) {
    EXPECT_TRUE(made) << made.error().message;
  } else {
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().error_class, ErrorClass::kBroker);
    EXPECT_FALSE(made.error().hint.empty());
  }
}

TEST_P(BrokerTest, AMessageThatIsRefusedSpoilsNoOther) {
  auto admin = Admin::Create(Client());
  ASSERT_TRUE(admin && (*admin)->EnsureTopics(-1, seconds{30}));
  auto producer = Producer::Create(Client());
  ASSERT_TRUE(producer);
  const std::string beyond_any_limit(2'000'000, 'x');
  const auto sent = (*producer)->Send(
      {{tasks_, "a", "1", {}}, {tasks_, "a", beyond_any_limit, {}}, {tasks_, "a", "2", {}}}, seconds{30});
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(*sent, (std::vector<bool>{true, false, true}));
  if (!OnApache()) return;  // the mock cluster has no limit of its own
  // Refused by the broker this time: weir.tasks takes a task, not 200 KB.
  const auto refused = (*producer)->Send({{kTaskTopic, "a", std::string(200'000, 'x'), {}}}, seconds{30});
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_EQ(*refused, std::vector<bool>{false});
  const auto after = (*producer)->Send({{tasks_, "a", "3", {}}}, seconds{30});
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(*after, std::vector<bool>{true});
}

TEST_P(BrokerTest, MoreThanTheQueueHoldsIsSentAll) {
  auto options = Client();
  options.properties["queue.buffering.max.messages"] = "100";
  auto producer = Producer::Create(options);
  ASSERT_TRUE(producer);
  const std::vector<OutgoingMessage> messages(3'000, {tasks_, "k", "v", {}});
  const auto sent = (*producer)->Send(messages, seconds{60});
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(*sent, std::vector<bool>(3'000, true));
}

// The embedded broker in a process of its own, as `weir up` runs it.
class EmbeddedBrokerProcessTest : public KafkaTest {
 protected:
  // A second broker: the fixture's own stays aside.
  void StartBroker() {
    broker_ = std::make_unique<ChildProcess>(std::vector<std::string>{"broker", directory_ + "/other"});
    ASSERT_TRUE(broker_->NextLine(steady_clock::now() + seconds{20}).starts_with("ready 127.0.0.1:"));
    brokers_ = "file:" + directory_ + "/other";
  }
  void KillBroker() { broker_.reset(); }

  std::unique_ptr<ChildProcess> broker_;
};
INSTANTIATE_TEST_SUITE_P(On, EmbeddedBrokerProcessTest, ::testing::Values(Backend::kEmbedded), BackendName);

TEST_P(EmbeddedBrokerProcessTest, AConsumerSeesThatItsBrokerMoved) {
  StartBroker();
  Recorder recorder;
  auto consumer = Join(ForGroup("g", {tasks_}), &recorder);
  PollUntil({consumer.get()}, [&] { return !recorder.events.empty(); });
  EXPECT_FALSE(consumer->BrokersDown());
  EXPECT_FALSE(consumer->AddressChanged());
  KillBroker();
  PollUntil({consumer.get()}, [&] { return consumer->BrokersDown(); });
  EXPECT_FALSE(consumer->AddressChanged()) << "the old address is still all there is";
  StartBroker();
  EXPECT_TRUE(consumer->AddressChanged());
  const auto begin = steady_clock::now();
  consumer->Close(seconds{1});
  EXPECT_LT(steady_clock::now() - begin, seconds{15}) << "closing must not wait for a broker that is gone";

  Send({{tasks_, "k", "after the restart", {}}});
  Recorder second_events;
  auto second = Join(ForGroup("g", {tasks_}), &second_events);
  EXPECT_EQ(Take(*second, 1)[0].value, "after the restart");
  EXPECT_FALSE(second->BrokersDown());
}

TEST_P(EmbeddedBrokerProcessTest, AProducerWithoutABrokerGivesUpInTime) {
  StartBroker();
  auto producer = Producer::Create(Client());
  ASSERT_TRUE(producer);
  EXPECT_EQ(*(*producer)->Send({{tasks_, "k", "1", {}}}, seconds{20}), std::vector<bool>{true});
  KillBroker();
  const auto begin = steady_clock::now();
  const auto lost = (*producer)->Send({{tasks_, "k", "2", {}}, {tasks_, "k", "3", {}}}, milliseconds{300});
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().error_class, ErrorClass::kBroker);
  EXPECT_NE(lost.error().message.find("cannot be reached"), std::string::npos) << lost.error().message;
  EXPECT_LT(steady_clock::now() - begin, seconds{6});
  StartBroker();
  EXPECT_TRUE((*producer)->AddressChanged());
  auto second = Producer::Create(Client());
  ASSERT_TRUE(second);
  EXPECT_EQ(*(*second)->Send({{tasks_, "k", "4", {}}}, seconds{20}), std::vector<bool>{true});
}

TEST_P(EmbeddedBrokerProcessTest, WhoeverCannotReachItIsTold) {
  auto options = Client();
  options.brokers = "file:" + directory_ + "/nothing";
  auto consumer_options = ForGroup("g", {tasks_});
  consumer_options.client = options;
  for (const auto& error : {Admin::Create(options).error(), Producer::Create(options).error(),
                            Consumer::Create(consumer_options, nullptr).error()}) {
    EXPECT_EQ(error.error_class, ErrorClass::kBroker);
    EXPECT_FALSE(error.hint.empty());
  }
  StartBroker();
  auto admin = Admin::Create(Client());
  ASSERT_TRUE(admin && (*admin)->Check(seconds{10}));
  KillBroker();
  const auto gone = (*admin)->Check(milliseconds{500});
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().error_class, ErrorClass::kBroker);
  EXPECT_FALSE(gone.error().hint.empty());
}

// One test that says aloud, in every run, whether a real Kafka is part of it.
TEST(ApacheKafka, IsPartOfThisRunOrSaidToBeLeftOut) {
  const char* address = std::getenv("WEIR_TEST_KAFKA_BROKERS");
  const char* required = std::getenv("WEIR_REQUIRE_KAFKA");
  const bool there = address != nullptr && *address != '\0';
  if (!there) {
    fmt::print(stderr,
               "\n*** APACHE KAFKA IS LEFT OUT of this run: WEIR_TEST_KAFKA_BROKERS is not set ***\n\n");
  }
  EXPECT_TRUE(there || required == nullptr || std::string_view(required) != "1")
      << "WEIR_REQUIRE_KAFKA=1, but WEIR_TEST_KAFKA_BROKERS names no Apache Kafka";
}

}  // namespace
}  // namespace weir::kafka::testing
