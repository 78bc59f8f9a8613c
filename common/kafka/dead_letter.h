#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/kafka/consumer.h"

namespace weir::kafka {

// What a message on dlq.weir.tasks tells of the one that it stands for (DESIGN §7).
struct DeadLetterFacts {
  TopicPartition from{};  // partition and offset -1: it was never delivered
  std::int64_t offset = -1;
  std::string group = kWorkerGroup;
  int deliveries = 1;
  std::string message{};  // why
  std::string kind{};     // weir-kind: "task" | "garbage"
};

// The headers, after those of the message itself; UTF-8 text, whatever the reason holds.
std::vector<Header> DeadLetterHeaders(std::vector<Header> original, const DeadLetterFacts& facts);

}  // namespace weir::kafka
