#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "common/kafka/producer.h"

namespace weir {

// A Kafka producer that is made when first needed and made anew when it is of no more use: after a fatal
// error, or when the embedded broker came back at another address. One thread.
class Publisher {
 public:
  using Factory = std::function<Result<std::unique_ptr<kafka::Producer>>()>;

  explicit Publisher(Factory factory) : factory_(std::move(factory)) {}

  // As kafka::Producer::Send.
  Result<std::vector<bool>> Send(const std::vector<kafka::OutgoingMessage>& messages,
                                 std::chrono::milliseconds timeout);
  // True once after the broker moved: it is another one, and what was sent to the old one is gone.
  bool TakeMoved();

 private:
  Factory factory_;
  std::unique_ptr<kafka::Producer> producer_;
};

// Producers for weir's topics, which it makes sure of first where the broker can.
Publisher::Factory KafkaPublisher(kafka::ClientOptions client, int replication_factor);

}  // namespace weir
