#include "common/kafka/dead_letter.h"

#include <utility>

#include "common/base/json_text.h"

namespace weir::kafka {

std::vector<Header> DeadLetterHeaders(std::vector<Header> original, const DeadLetterFacts& facts) {
  std::vector<Header> headers = std::move(original);
  headers.push_back({"__dlq.errors.topic", facts.from.topic});
  headers.push_back({"__dlq.errors.partition", std::to_string(facts.from.partition)});
  headers.push_back({"__dlq.errors.offset", std::to_string(facts.offset)});
  headers.push_back({"__dlq.errors.group", facts.group});
  headers.push_back({"__dlq.errors.delivery.count", std::to_string(facts.deliveries)});
  headers.push_back({"__dlq.errors.message", Printable(facts.message)});
  headers.push_back({"weir-kind", facts.kind});
  return headers;
}

}  // namespace weir::kafka
