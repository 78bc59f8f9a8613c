#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/kafka/client_options.h"
#include "common/kafka/consumer.h"

namespace weir::kafka {

struct OutgoingMessage {
  std::string topic, key, value;
  std::vector<Header> headers;
};

// Idempotent, acks=all, small batches (DESIGN §7: the producer's batch size bounds a worker's memory).
// Partitioner murmur2_random. One thread at a time.
class Producer {
 public:
  static Result<std::unique_ptr<Producer>> Create(ClientOptions options);
  virtual ~Producer() = default;

  // Sends all and waits until each is acknowledged or `timeout` is over. Element i of the result is true when
  // message i was; a false one may still have arrived (send it again: consumers bear repeated messages).
  // Errors: kBroker when the client is of no more use (fatal): make a new one; or when none was acknowledged
  // and it is known why (brokers out of reach, a login or a right that is refused): what was said of false
  // holds.
  virtual Result<std::vector<bool>> Send(const std::vector<OutgoingMessage>& messages,
                                         std::chrono::milliseconds timeout) = 0;
  // As Consumer::AddressChanged.
  virtual bool AddressChanged() const { return false; }
};

// Topic administration (the C API; DESIGN §7). On the embedded broker topics are there from the start and
// Ensure is a no-op when they are found.
class Admin {
 public:
  static Result<std::unique_ptr<Admin>> Create(ClientOptions options);
  virtual ~Admin() = default;
  // Creates what is missing of weir's three topics. Errors: kBroker (unreachable, with hint), kConfig (a
  // topic has too few partitions).
  virtual Result<void> EnsureTopics(int replication_factor, std::chrono::milliseconds timeout) = 0;
  // The broker answers and has the topics.
  virtual Result<void> Check(std::chrono::milliseconds timeout) = 0;
  // Whether this user may read as one of the workers' group; changes nothing. Errors: kBroker (it may not,
  // with the right to grant). What cannot be told, by `timeout`, is no error.
  virtual Result<void> CheckGroup(std::chrono::milliseconds timeout) = 0;
  // Creates one topic if it is missing and waits until its partitions have leaders. `replication_factor` -1 =
  // the broker's default. Errors as EnsureTopics; the embedded broker can create none (kBroker).
  virtual Result<void> CreateTopic(const std::string& name, int partitions, int replication_factor,
                                   std::chrono::milliseconds timeout) = 0;
};

}  // namespace weir::kafka
