#include "producer/engine/publisher.h"

namespace weir {

Result<std::vector<bool>> Publisher::Send(const std::vector<kafka::OutgoingMessage>& messages,
                                          std::chrono::milliseconds timeout) {
  if (!producer_) {
    auto made = factory_();
    if (!made) return Fail(made.error());
    producer_ = std::move(*made);
  }
  auto sent = producer_->Send(messages, timeout);
  if (!sent) producer_.reset();
  return sent;
}

bool Publisher::TakeMoved() {
  if (!producer_ || !producer_->AddressChanged()) return false;
  producer_.reset();
  return true;
}

Publisher::Factory KafkaPublisher(kafka::ClientOptions client, int replication_factor) {
  return [client = std::move(client), replication_factor,
          topics_known = false]() mutable -> Result<std::unique_ptr<kafka::Producer>> {
    if (!topics_known) {
      auto admin = kafka::Admin::Create(client);
      if (!admin) return Fail(admin.error());
      auto ensured = (*admin)->EnsureTopics(replication_factor, std::chrono::seconds(10));
      if (!ensured) return Fail(ensured.error());
      topics_known = true;
    }
    return kafka::Producer::Create(client);
  };
}

}  // namespace weir
