#include "common/kafka/client_trouble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kafka/line_limiter.h"

namespace weir::kafka {
namespace {

using ::testing::HasSubstr;

constexpr char kBrokers[] = "kafka1:9092";

TEST(ClientTrouble, EachKindIsSaidInItsOwnWords) {
  struct Case {
    rd_kafka_resp_err_t code;
    const char* reason;
    const char* message;
    const char* hint;
  };
  const Case cases[] = {
      {RD_KAFKA_RESP_ERR__AUTHENTICATION,
       "sasl_plaintext://kafka1:9092/bootstrap: SASL authentication error: Authentication failed: Invalid "
       "username or password (after 312ms in state AUTH_REQ, 1 identical error(s) suppressed)",
       "Kafka at kafka1:9092 refuses the login: SASL authentication error: Authentication failed: Invalid "
       "username or password",
       "sasl.password"},
      {RD_KAFKA_RESP_ERR__AUTHENTICATION,
       "sasl_plaintext://kafka1:9092/bootstrap: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: "
       "Unsupported SASL mechanism: broker's supported mechanisms: PLAIN (after 3ms in state AUTH_HANDSHAKE)",
       "Kafka at kafka1:9092 does not take this SASL mechanism: SASL SCRAM-SHA-256 mechanism handshake "
       "failed: "
       "Broker: Unsupported SASL mechanism: broker's supported mechanisms: PLAIN",
       "sasl.mechanisms"},
      {RD_KAFKA_RESP_ERR__SSL,
       "ssl://kafka1:9092/bootstrap: SSL handshake failed: certificate verify failed (after 3ms in state "
       "SSL_HANDSHAKE)",
       "no secure connection to Kafka at kafka1:9092: SSL handshake failed: certificate verify failed",
       "ssl.ca.location"},
      {RD_KAFKA_RESP_ERR__RESOLVE,
       "kafka1:9092/bootstrap: Failed to resolve 'kafka1:9092': Name or service not known",
       "Kafka at kafka1:9092 is not found: ", "kafka.brokers"},
      {RD_KAFKA_RESP_ERR__TRANSPORT,
       "kafka1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state "
       "CONNECT)",
       "Kafka at kafka1:9092 cannot be reached: ", "is it running"},
      {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "weir.tasks: Broker: Topic authorization failed",
       "Kafka at kafka1:9092 denies this user a topic: weir.tasks: ", "kafka-acls"},
      {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, "Broker: Cluster authorization failed",
       "denies this user a right on the cluster", "IDEMPOTENT_WRITE"},
  };
  for (const Case& c : cases) {
    const auto error = ExplainTrouble(c.code, c.reason, kBrokers);
    ASSERT_TRUE(error) << c.reason;
    EXPECT_EQ(error->error_class, ErrorClass::kBroker);
    EXPECT_THAT(error->message, HasSubstr(c.message));
    EXPECT_THAT(error->message, testing::Not(HasSubstr("(after")));
    EXPECT_THAT(error->hint, HasSubstr(c.hint));
  }
  EXPECT_FALSE(ExplainTrouble(RD_KAFKA_RESP_ERR_NOT_COORDINATOR, "moved", kBrokers)) << "it passes by itself";
  EXPECT_FALSE(ExplainTrouble(RD_KAFKA_RESP_ERR_NO_ERROR, "", kBrokers));
}

TEST(ClientTrouble, AGroupThatIsDeniedNamesItAndTheRight) {
  const Error error =
      ExplainGroup("weir-workers", "JoinGroup failed: Broker: Group authorization failed", kBrokers);
  EXPECT_EQ(error.error_class, ErrorClass::kBroker);
  EXPECT_THAT(error.message, HasSubstr("group weir-workers"));
  EXPECT_THAT(error.hint, HasSubstr("--operation Read --group weir-workers"));
}

TEST(ClientTrouble, TheCauseIsKeptOverWhatFollowsFromIt) {
  ClientTrouble trouble;
  EXPECT_FALSE(trouble.Now());
  trouble.Note(RD_KAFKA_RESP_ERR__TRANSPORT, "refused", kBrokers);
  EXPECT_FALSE(trouble.LoginRefused());
  trouble.Note(RD_KAFKA_RESP_ERR__AUTHENTICATION, "Invalid username or password", kBrokers);
  trouble.Note(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down", kBrokers);
  trouble.Note(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, "a rebalance", kBrokers);
  EXPECT_TRUE(trouble.LoginRefused());
  EXPECT_THAT(trouble.Now()->message, HasSubstr("refuses the login"));
  trouble.Clear();
  EXPECT_FALSE(trouble.Now());
  EXPECT_FALSE(trouble.LoginRefused());
  trouble.Note(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down", kBrokers);
  EXPECT_THAT(trouble.Now()->message, HasSubstr("brokers are down"));
  trouble.Note(RD_KAFKA_RESP_ERR__TRANSPORT, "Connection refused", kBrokers);
  trouble.Note(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down", kBrokers);
  EXPECT_THAT(trouble.Now()->message, HasSubstr("cannot be reached: Connection refused"));
}

TEST(LineLimiter, TheSameLineComesOnceAMinute) {
  using Millis = LineLimiter::Millis;
  LineLimiter lines;
  EXPECT_TRUE(lines.Allows("refused (after 3ms)", Millis(1'000)));
  EXPECT_FALSE(lines.Allows("refused (after 12ms)", Millis(60'999)));
  EXPECT_TRUE(lines.Allows("another", Millis(60'999)));
  EXPECT_TRUE(lines.Allows("refused (after 12ms)", Millis(61'000)));
  EXPECT_FALSE(lines.Allows("refused (after 3ms)", Millis(61'001)));
}

// Each of more kinds than are remembered is said; of those that are, none twice.
TEST(LineLimiter, ItsMemoryIsBounded) {
  LineLimiter lines;
  const auto line = [](std::size_t i) { return std::string(i + 1, 'x'); };
  for (std::size_t i = 0; i < 2 * LineLimiter::kMostKinds; ++i)
    EXPECT_TRUE(lines.Allows(line(i), LineLimiter::Millis(static_cast<std::int64_t>(i))));
  EXPECT_FALSE(lines.Allows(line(2 * LineLimiter::kMostKinds - 1), LineLimiter::Millis(1'000)));
  EXPECT_TRUE(lines.Allows(line(0), LineLimiter::Millis(1'000))) << "forgotten";
}

}  // namespace
}  // namespace weir::kafka
