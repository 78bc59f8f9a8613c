// The contract of Consumer and Producer, on the embedded broker and on Apache Kafka.
#include "common/kafka/consumer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include "common/kafka/testing/kafka_fixture.h"

namespace weir::kafka::testing {
namespace {

using ::testing::ElementsAre;

INSTANTIATE_TEST_SUITE_P(On, KafkaTest, ::testing::Values(Backend::kEmbedded, Backend::kApache), BackendName);

std::vector<std::string> Values(const std::vector<Message>& messages) {
  std::vector<std::string> values;
  for (const auto& message : messages) values.push_back(message.value);
  return values;
}

// `count` messages "0", "1", … of one partition.
std::vector<OutgoingMessage> Numbered(const std::string& topic, const std::string& key, int count) {
  std::vector<OutgoingMessage> messages;
  for (int i = 0; i < count; ++i) messages.push_back({topic, key, std::to_string(i), {}});
  return messages;
}

TEST_P(KafkaTest, GarbageBytesPassUnchanged) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
  Send({{tasks_, every_byte, every_byte, {{"binary", every_byte}, {"empty", ""}}}, {tasks_, "k", "", {}}});
  Recorder recorder;
  auto consumer = Join(ForGroup("g", {tasks_}), &recorder);
  auto messages = Take(*consumer, 2);
  if (messages[0].value.empty()) std::swap(messages[0], messages[1]);
  EXPECT_EQ(messages[0].key, every_byte);
  EXPECT_EQ(messages[0].value, every_byte);
  ASSERT_EQ(messages[0].headers.size(), 2U);
  EXPECT_EQ(messages[0].headers[0].name, "binary");
  EXPECT_EQ(messages[0].headers[0].value, every_byte);
  EXPECT_EQ(messages[0].headers[1].value, "");
  EXPECT_EQ(messages[1].key, "k");
  EXPECT_EQ(messages[1].value, "");
}

TEST_P(KafkaTest, AKeyGoesWhereJavasMurmur2SendsIt) {
  // Java's own vectors (Utils.murmur2), so that the reckoning below is known to be right.
  EXPECT_EQ(Murmur2("kafka"), 0xd067cf64U);
  EXPECT_EQ(Murmur2("giberish123456789"), 0x8f552b0cU);
  EXPECT_EQ(Murmur2("1234"), 0x9fc97b14U);
  std::vector<OutgoingMessage> messages;
  for (int i = 0; i < 100; ++i) {
    const std::string lane = fmt::format("chesscom#{}", i % 50);
    messages.push_back({i < 50 ? tasks_ : interactive_, lane, "", {}});
  }
  Send(messages);
  Recorder recorder;
  auto consumer = Join(ForGroup("g", {tasks_, interactive_}), &recorder);
  for (const auto& message : Take(*consumer, 100)) {
    EXPECT_EQ(message.from.partition, static_cast<int>((Murmur2(message.key) & 0x7fffffff) % 48))
        << message.key;
  }
}

TEST_P(KafkaTest, AFullPartitionNeverBlocksAnother) {
  std::vector<OutgoingMessage> backlog = Numbered(tasks_, KeyOf(3), 3000);
  for (auto& message : backlog) message.value.resize(1000, 'x');
  Send(backlog);
  Recorder recorder;
  auto consumer = Join(ForGroup("g", {tasks_}), &recorder);
  const TopicPartition full{tasks_, 3}, other{tasks_, 4};
  PollUntil({consumer.get()}, [&] { return consumer->Next(full).has_value(); });
  for (int i = 0; i < 5; ++i) {
    Send({{tasks_, KeyOf(4), std::to_string(i), {}}});
    std::optional<Message> got;
    PollUntil({consumer.get()}, [&] { return (got = consumer->Next(other)).has_value(); });
    EXPECT_EQ(got->value, std::to_string(i));
  }
  EXPECT_EQ(consumer->Next(full)->offset, 1);
}

TEST_P(KafkaTest, AMessageEndsAPollThatWaits) {
  Recorder recorder;
  auto consumer = Join(ForGroup("g", {tasks_}), &recorder);
  PollUntil({consumer.get()}, [&] { return recorder.events.size() == 1; });
  auto producer = Producer::Create(Client());
  ASSERT_TRUE(producer);
  // Statistics end a Poll every second, so without the wake a message would wait half of that on average.
  int prompt = 0;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE((*producer)->Send({{tasks_, KeyOf(7), "x", {}}}, seconds{20}));
    const auto sent = steady_clock::now();
    while (!consumer->Next({tasks_, 7})) ASSERT_TRUE(consumer->Poll(seconds{60}));
    if (steady_clock::now() - sent < milliseconds{300}) ++prompt;
  }
  EXPECT_GE(prompt, 15);
}

TEST_P(KafkaTest, WakeEndsAPollThatWaits) {
  Recorder recorder;
  auto consumer = Join(ForGroup("g", {tasks_}), &recorder);
  PollUntil({consumer.get()}, [&] { return recorder.events.size() == 1; });
  int prompt = 0;
  for (int i = 0; i < 20; ++i) {
    const auto begin = steady_clock::now();
    std::thread waker([&] { consumer->Wake(); });
    ASSERT_TRUE(consumer->Poll(seconds{60}));
    waker.join();
    if (steady_clock::now() - begin < milliseconds{300}) ++prompt;
  }
  EXPECT_GE(prompt, 15);
}

TEST_P(KafkaTest, TheNextMemberResumesAtTheStoredOffset) {
  Send(Numbered(tasks_, KeyOf(9), 10));
  const TopicPartition partition{tasks_, 9};
  Recorder first_events, second_events;
  auto first = Join(ForGroup("g", {tasks_}), &first_events);
  EXPECT_EQ(Take(*first, 10).back().offset, 9);
  ASSERT_TRUE(first->StoreOffset(partition, 6));  // six are finished, four only read
  first->Close(seconds{10});
  EXPECT_THAT(first_events.events, ElementsAre("assigned 48", "revoked 48"));
  EXPECT_TRUE(first->Assignment().empty());
  EXPECT_FALSE(first->Poll(milliseconds{0}));

  auto second = Join(ForGroup("g", {tasks_}), &second_events);
  EXPECT_THAT(Values(Take(*second, 4)), ElementsAre("6", "7", "8", "9"));
}

TEST_P(KafkaTest, WhatIsNotStoredIsDeliveredAgainAfterACrash) {
  Send(Numbered(tasks_, KeyOf(9), 5));
  Recorder first_events, second_events;
  auto first = Join(ForGroup("g", {tasks_}), &first_events);
  Take(*first, 5);
  ASSERT_TRUE(first->StoreOffset({tasks_, 9}, 2));
  ASSERT_TRUE(first->CommitNow());
  ASSERT_TRUE(first->StoreOffset({tasks_, 9}, 4));  // stored, not committed when it dies
  first.reset();
  EXPECT_THAT(first_events.events, ElementsAre("assigned 48")) << "a crash says nothing";

  auto second = Join(ForGroup("g", {tasks_}), &second_events);
  if (!OnApache()) {  // there what is stored is kept at once
    EXPECT_EQ(Take(*second, 1).front().value, "4");
    return;
  }
  EXPECT_THAT(Values(Take(*second, 3)), ElementsAre("2", "3", "4"));
}

// On the embedded broker there is no group that would wait for a drain: see partition_share_group_test.cc.
class KafkaGroupTest : public KafkaTest {};
INSTANTIATE_TEST_SUITE_P(On, KafkaGroupTest, ::testing::Values(Backend::kApache), BackendName);

TEST_P(KafkaGroupTest, RevokeDrainsAndCommitsBeforeTheOtherMemberStarts) {
  std::vector<OutgoingMessage> messages;
  for (int p = 0; p < 48; ++p) {
    for (int i = 0; i < 3; ++i) messages.push_back({tasks_, KeyOf(p), std::to_string(i), {}});
  }
  Send(messages);
  Recorder first_events, second_events;
  auto first = Join(ForGroup("g", {tasks_, interactive_}), &first_events);
  Take(*first, 144);
  first_events.on_revoked = [&](const std::vector<TopicPartition>& partitions) {
    EXPECT_TRUE(second_events.events.empty()) << "the other has partitions before the first let go";
    for (const auto& p : partitions) {
      if (p.topic != tasks_) continue;
      EXPECT_TRUE(first->StoreOffset(p, 2));  // the drain ended with two done of three
    }
  };
  auto second = Join(ForGroup("g", {tasks_, interactive_}), &second_events);
  PollUntil({first.get(), second.get()},
            [&] { return first_events.events.size() == 3 && second_events.events.size() == 1; });
  EXPECT_THAT(first_events.events, ElementsAre("assigned 96", "revoked 96", "assigned 48"));
  EXPECT_THAT(second_events.events, ElementsAre("assigned 48"));
  // A lane's two partitions, bulk and interactive, are with the same member.
  for (const auto* member : {first.get(), second.get()}) {
    std::set<int> bulk, interactive;
    for (const auto& p : member->Assignment()) (p.topic == tasks_ ? bulk : interactive).insert(p.partition);
    EXPECT_EQ(bulk, interactive);
  }
  for (auto* member : {first.get(), second.get()}) EXPECT_EQ(Take(*member, 1)[0].value, "2");
  const auto foreign = second->Assignment().front();
  const auto refused = first->StoreOffset(foreign, 3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_class, ErrorClass::kStopped);
  first_events.on_revoked = nullptr;
}

TEST_P(KafkaTest, PrefetchIsBounded) {
  constexpr int kMessages = 20'000;
  std::vector<OutgoingMessage> backlog;
  for (int i = 0; i < kMessages; ++i) backlog.push_back({tasks_, KeyOf(i % 48), std::string(600, 'x'), {}});
  for (int i = 0; i < kMessages; i += 5'000) {
    Send({backlog.begin() + i, backlog.begin() + i + 5'000});
  }
  Recorder recorder;
  auto consumer = Join(ForGroup("g", {tasks_}), &recorder);
  // A slow consumer, one message a partition and poll: what is received runs ahead by a window, not by all.
  std::int64_t consumed = 0;
  std::int64_t worst_lead = 0;
  PollUntil({consumer.get()}, [&] {
    for (const auto& partition : consumer->Assignment()) {
      if (auto message = consumer->Next(partition))
        consumed += static_cast<std::int64_t>(message->value.size());
    }
    worst_lead = std::max(worst_lead, consumer->BytesReceived() - consumed);
    return consumed >= kMessages * 600LL;
  });
  PollUntil({consumer.get()}, [&] { return consumer->BytesReceived() >= consumed; });
  const double ratio = static_cast<double>(consumer->BytesReceived()) / static_cast<double>(consumed);
  RecordProperty("received_over_consumed", fmt::format("{:.3f}", ratio));
  RecordProperty("worst_lead_bytes", std::to_string(worst_lead));
  fmt::print("received/consumed {:.3f}, worst lead {} bytes\n", ratio, worst_lead);
  EXPECT_LT(ratio, 1.3);
  EXPECT_LT(worst_lead, 6'000'000);
}

TEST_P(KafkaTest, AMegabyteOfGarbageDoesNotStopItsPartition) {
  Send({{tasks_, KeyOf(5), std::string(1'040'000, '\xff'), {}}, {tasks_, KeyOf(5), "after", {}}});
  Recorder recorder;
  auto consumer = Join(ForGroup("g", {tasks_}), &recorder);
  const auto messages = Take(*consumer, 2);
  EXPECT_EQ(messages[0].value.size(), 1'040'000U);
  EXPECT_EQ(messages[1].value, "after");
}

class KafkaGroupRulesTest : public KafkaTest {};
INSTANTIATE_TEST_SUITE_P(On, KafkaGroupRulesTest, ::testing::Values(Backend::kApache), BackendName);

TEST_P(KafkaGroupRulesTest, ASessionThatTheBrokerRefusesIsSaidOnceWithWhatToDo) {
  session_ = std::chrono::minutes{31};  // Kafka's most is 30
  auto options = ForGroup("g", {tasks_});
  options.client.properties["max.poll.interval.ms"] = "3600000";
  std::mutex mutex;
  std::vector<std::string> lines;
  options.client.log = [&](int level, std::string_view text) {
    const std::lock_guard guard(mutex);
    if (level <= 3) lines.emplace_back(text);
  };
  Recorder recorder;
  const auto consumer = Join(options, &recorder);
  const auto said = [&] {
    const std::lock_guard guard(mutex);
    return std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
      return line.find("set kafka.session_timeout") != std::string::npos;
    });
  };
  PollUntil({consumer.get()}, [&] { return said() > 0; });
  EXPECT_EQ(said(), 1);
  EXPECT_TRUE(recorder.events.empty());
}

}  // namespace
}  // namespace weir::kafka::testing
