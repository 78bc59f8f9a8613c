#include "common/kafka/client_trouble.h"

#include <fmt/format.h>

#include "common/base/json_text.h"

namespace weir::kafka {
namespace {

// "sasl_ssl://host:9092/bootstrap: SASL …: Authentication failed (after 3ms in state AUTH_REQ)" without where
// and when: the brokers are named by us, and the rest changes from line to line.
std::string Essence(std::string_view reason) {
  if (const auto scheme = reason.find("://"); scheme != std::string_view::npos && scheme < 20) {
    if (const auto end = reason.find(": ", scheme); end != std::string_view::npos)
      reason.remove_prefix(end + 2);
  }
  reason = reason.substr(0, reason.rfind(" (after "));
  return Printable(reason, 300);
}

Error Broker(std::string message, std::string hint) {
  return MakeError(ErrorClass::kBroker, std::move(message), std::move(hint));
}

// How much a report says of the cause.
int Weight(rd_kafka_resp_err_t code) {
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) return 0;
  return code == RD_KAFKA_RESP_ERR__TRANSPORT ? 1 : 2;
}

}  // namespace

std::optional<Error> ExplainTrouble(rd_kafka_resp_err_t code, std::string_view reason,
                                    const std::string& brokers) {
  const std::string said = Essence(reason);
  switch (code) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      if (said.find("mechanism") == std::string::npos) {
        return Broker(fmt::format("Kafka at {} refuses the login: {}", brokers, said),
                      "check sasl.username, sasl.password and sasl.mechanisms in kafka.properties");
      }
      [[fallthrough]];
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
      return Broker(fmt::format("Kafka at {} does not take this SASL mechanism: {}", brokers, said),
                    "set sasl.mechanisms in kafka.properties to one that the brokers offer");
    case RD_KAFKA_RESP_ERR__SSL:
      return Broker(fmt::format("no secure connection to Kafka at {}: {}", brokers, said),
                    "check security.protocol and ssl.ca.location in kafka.properties");
    case RD_KAFKA_RESP_ERR__RESOLVE:
      return Broker(fmt::format("Kafka at {} is not found: {}", brokers, said),
                    "check the host names in kafka.brokers, and those that the brokers advertise");
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
      return Broker(fmt::format("Kafka at {} cannot be reached: {}", brokers, said),
                    "is it running there, and are kafka.brokers and kafka.properties right?");
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return Broker(
          fmt::format("Kafka at {} denies this user a topic: {}", brokers, said),
          "grant it DESCRIBE and WRITE (a producer) or READ (a worker) on weir's topics: kafka-acls --add");
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return Broker(
          fmt::format("Kafka at {} denies this user a right on the cluster: {}", brokers, said),
          "grant it IDEMPOTENT_WRITE, and CREATE where weir is to make its topics: kafka-acls --add");
    default:
      return std::nullopt;
  }
}

Error ExplainGroup(const std::string& group, std::string_view reason, const std::string& brokers) {
  return Broker(fmt::format("Kafka at {} does not let this user read as one of group {}: {}", brokers, group,
                            Essence(reason)),
                fmt::format("workers get no task without it; grant READ on the group: kafka-acls --add "
                            "--allow-principal User:NAME --operation Read --group {}",
                            group));
}

void ClientTrouble::Note(rd_kafka_resp_err_t code, std::string_view reason, const std::string& brokers) {
  auto error = ExplainTrouble(code, reason, brokers);
  if (!error) return;
  const std::lock_guard guard(mutex_);
  if (error_ && Weight(code) < Weight(code_)) return;
  error_ = std::move(*error);
  code_ = code;
}

void ClientTrouble::Clear() {
  const std::lock_guard guard(mutex_);
  error_.reset();
}

std::optional<Error> ClientTrouble::Now() const {
  const std::lock_guard guard(mutex_);
  return error_;
}

bool ClientTrouble::LoginRefused() const {
  const std::lock_guard guard(mutex_);
  return error_ && code_ == RD_KAFKA_RESP_ERR__AUTHENTICATION;
}

}  // namespace weir::kafka
