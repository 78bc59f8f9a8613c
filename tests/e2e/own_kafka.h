#pragma once

#include <memory>
#include <string>

namespace weir::e2e {

// An Apache Kafka node of one test's own: weir's topics and group have fixed names, so that two tests cannot
// share a broker. Started by tools/kafka/kafka.sh with empty topics, ended with this.
class OwnKafka {
 public:
  // Fails the test and gives nullptr if it does not start; where it cannot be had its tests are left out by
  // name.
  // `sasl`: clients log in as admin or weir, each with the password NAME-password
  // (tools/kafka/sasl.properties.in).
  static std::unique_ptr<OwnKafka> Start(const std::string& directory, bool sasl = false);
  ~OwnKafka();
  OwnKafka(const OwnKafka&) = delete;
  OwnKafka& operator=(const OwnKafka&) = delete;
  const std::string& Brokers() const { return brokers_; }

 private:
  OwnKafka(std::string directory, std::string brokers)
      : directory_(std::move(directory)), brokers_(std::move(brokers)) {}
  std::string directory_, brokers_;
};

}  // namespace weir::e2e
