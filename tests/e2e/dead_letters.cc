#include "tests/e2e/dead_letters.h"

#include <gtest/gtest.h>

#include <set>

#include "common/kafka/producer.h"
#include "tests/e2e/e2e.h"

namespace weir::e2e {

std::vector<kafka::Message> ReadDeadLetters(const kafka::ClientOptions& kafka, std::size_t count) {
  struct Listener final : kafka::RebalanceListener {
    std::set<kafka::TopicPartition> mine;
    void OnAssigned(const std::vector<kafka::TopicPartition>& partitions) override {
      mine.insert(partitions.begin(), partitions.end());
    }
    void OnRevoked(const std::vector<kafka::TopicPartition>&) override { mine.clear(); }
    void OnLost(const std::vector<kafka::TopicPartition>&) override { mine.clear(); }
  } listener;
  kafka::ConsumerOptions options;
  const kafka::Topics topics = kafka::TopicsOf(kafka);
  options.client = kafka;
  options.group = topics.group + "-watcher";
  options.topics = {topics.dead_letters};
  options.session_timeout = Millis(4'000);
  auto consumer = kafka::Consumer::Create(options, &listener);
  EXPECT_TRUE(consumer) << consumer.error().message;
  std::vector<kafka::Message> letters;
  if (!consumer) return letters;
  EXPECT_TRUE(process::WaitUntil(
      [&] {
        EXPECT_TRUE((*consumer)->Poll(Millis(100)));
        for (const auto& partition : listener.mine) {
          while (auto message = (*consumer)->Next(partition)) letters.push_back(std::move(*message));
        }
        return letters.size() >= count;
      },
      kPatience))
      << letters.size() << " letters came";
  (*consumer)->Close(Millis(5'000));
  return letters;
}

std::map<std::string, std::string> HeadersOf(const kafka::Message& message) {
  std::map<std::string, std::string> headers;
  for (const kafka::Header& header : message.headers) headers[header.name] = header.value;
  return headers;
}

}  // namespace weir::e2e
