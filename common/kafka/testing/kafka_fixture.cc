#include "common/kafka/testing/kafka_fixture.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>

namespace weir::kafka::testing {

void KafkaTest::SetUp() {
  static std::atomic<int> number{0};
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  unique_ = fmt::format("t{:x}-{}-{}", now, getpid(), ++number);
  directory_ = (std::filesystem::temp_directory_path() / ("weir-kafka-" + unique_)).string();
  std::filesystem::create_directories(directory_);
  if (!OnApache()) {
    auto broker = EmbeddedBroker::Start(directory_ + "/address");
    ASSERT_TRUE(broker) << broker.error().message;
    embedded_ = std::move(*broker);
    brokers_ = "file:" + directory_ + "/address";
    tasks_ = kTaskTopic;
    interactive_ = kInteractiveTopic;
    return;
  }
  const char* address = std::getenv("WEIR_TEST_KAFKA_BROKERS");
  if (address == nullptr || *address == '\0') {
    const char* required = std::getenv("WEIR_REQUIRE_KAFKA");
    if (required != nullptr && std::string_view(required) == "1") {
      FAIL() << "WEIR_REQUIRE_KAFKA=1, but WEIR_TEST_KAFKA_BROKERS names no Apache Kafka";
    }
    GTEST_SKIP() << "Apache Kafka is left out: WEIR_TEST_KAFKA_BROKERS is not set (./dev kafka start)";
  }
  brokers_ = address;
  session_ = milliseconds{6'000};  // the least a broker allows by default
  tasks_ = unique_ + ".tasks";
  interactive_ = unique_ + ".tasks.interactive";
  auto admin = Admin::Create(Client());
  ASSERT_TRUE(admin) << admin.error().message;
  for (const auto& topic : {tasks_, interactive_}) {
    const auto created = (*admin)->CreateTopic(topic, kTaskPartitions, -1, seconds{30});
    ASSERT_TRUE(created) << created.error().message;
  }
}

void KafkaTest::TearDown() {
  embedded_.reset();
  std::filesystem::remove_all(directory_);
}

ClientOptions KafkaTest::Client() const {
  ClientOptions options;
  options.brokers = brokers_;
  options.client_id = "weir-test";
  options.log = [](int level, std::string_view text) { fmt::print(stderr, "<{}> {}\n", level, text); };
  return options;
}

ConsumerOptions KafkaTest::ForGroup(const std::string& group, std::vector<std::string> topics) const {
  ConsumerOptions options;
  options.client = Client();
  options.group = unique_ + "." + group;
  options.topics = std::move(topics);
  options.session_timeout = session_;
  return options;
}

std::unique_ptr<Consumer> KafkaTest::Join(const ConsumerOptions& options, RebalanceListener* listener) const {
  auto consumer = Consumer::Create(options, listener);
  EXPECT_TRUE(consumer) << consumer.error().message;
  return consumer ? std::move(*consumer) : nullptr;
}

void KafkaTest::Send(const std::vector<OutgoingMessage>& messages) const {
  auto options = Client();
  options.properties["message.max.bytes"] = "1048000";
  auto producer = Producer::Create(options);
  ASSERT_TRUE(producer) << producer.error().message;
  const auto sent = (*producer)->Send(messages, seconds{30});
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(*sent, std::vector<bool>(messages.size(), true));
}

void KafkaTest::PollUntil(const std::vector<Consumer*>& consumers, const std::function<bool()>& done) {
  const auto deadline = steady_clock::now() + seconds{30};
  while (!done()) {
    ASSERT_LT(steady_clock::now(), deadline) << "what the test waits for did not happen";
    for (auto* consumer : consumers) {
      const auto polled = consumer->Poll(milliseconds{20});
      ASSERT_TRUE(polled) << polled.error().message;
    }
  }
}

std::vector<Message> KafkaTest::Take(Consumer& consumer, std::size_t count) {
  std::vector<Message> taken;
  PollUntil({&consumer}, [&] {
    for (const auto& partition : consumer.Assignment()) {
      while (taken.size() < count) {
        auto message = consumer.Next(partition);
        if (!message) break;
        taken.push_back(std::move(*message));
      }
    }
    return taken.size() >= count;
  });
  return taken;
}

std::string KafkaTest::KeyOf(int partition) {
  for (int i = 0;; ++i) {
    std::string key = "key" + std::to_string(i);
    if (static_cast<int>((Murmur2(key) & 0x7fffffff) % kTaskPartitions) == partition) return key;
  }
}

std::uint32_t Murmur2(std::string_view key) {
  constexpr std::uint32_t kM = 0x5bd1e995;
  std::uint32_t h = 0x9747b28c ^ static_cast<std::uint32_t>(key.size());
  const auto byte = [&key](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(key[i]));
  };
  std::size_t i = 0;
  for (; i + 4 <= key.size(); i += 4) {
    std::uint32_t k = byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24;
    k *= kM;
    k ^= k >> 24;
    h = h * kM ^ k * kM;
  }
  const std::size_t rest = key.size() - i;
  if (rest >= 3) h ^= byte(i + 2) << 16;
  if (rest >= 2) h ^= byte(i + 1) << 8;
  if (rest >= 1) h = (h ^ byte(i)) * kM;
  h = (h ^ h >> 13) * kM;
  return h ^ h >> 15;
}

void PrintTo(Backend backend, std::ostream* out) {
  *out << (backend == Backend::kApache ? "ApacheKafka" : "EmbeddedBroker");
}

std::string BackendName(const ::testing::TestParamInfo<Backend>& info) {
  return ::testing::PrintToString(info.param);
}

}  // namespace weir::kafka::testing
