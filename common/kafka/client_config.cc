#include "common/kafka/client_config.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>

#include "common/base/json_text.h"

namespace weir::kafka {
namespace {

// One list for all kinds of clients, so that a bad configuration fails the same way in every program.
constexpr std::array<std::string_view, 24> kReserved = {
    "bootstrap.servers",
    "metadata.broker.list",
    "client.id",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "enable.auto.offset.store",
    "enable.auto.commit",
    "auto.commit.enable",
    "auto.offset.reset",
    "enable.partition.eof",
    "statistics.interval.ms",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "partitioner",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "transactional.id",
    "test.mock.num.brokers",
};

void LogCallback(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  // Consumers, producers and admin clients share one map of properties, so librdkafka would warn at every
  // start that one kind does not use the other's.
  if (std::strcmp(facility, "CONFWARN") == 0) return;
  // A commit refused amid a rebalance only means that messages come again, which the ledger knows; on the
  // embedded broker every rebalance refuses it. The line names every partition: that is for who looks for it.
  if (std::strcmp(facility, "COMMITFAIL") == 0) level = 7;
  auto* context = static_cast<ClientContext*>(rd_kafka_opaque(client));
  if (context != nullptr) context->Log(level, fmt::format("kafka: {}: {}", facility, text));
}

std::string UniqueClientId(const std::string& prefix) {
  static std::atomic<int> number{0};
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("{}-{}-{}-{}", prefix, host.data(), getpid(), ++number);
}

Result<void> Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value, bool must_exist) {
  // librdkafka's own text may quote the value, which may be a password: say only the name.
  std::array<char, 512> ignored;
  switch (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), ignored.data(), ignored.size())) {
    case RD_KAFKA_CONF_OK:
      return {};
    case RD_KAFKA_CONF_UNKNOWN:
      if (!must_exist) return {};
      return Fail(ErrorClass::kConfig,
                  fmt::format("kafka.properties: librdkafka has no property \"{}\"", name),
                  "its names are in librdkafka's CONFIGURATION.md");
    default:
      return Fail(ErrorClass::kConfig, fmt::format("kafka.properties: \"{}\" cannot have this value", name),
                  "what it may be is in librdkafka's CONFIGURATION.md");
  }
}

Result<void> SetAll(rd_kafka_conf_t* conf, const Properties& properties, bool must_exist) {
  for (const auto& [name, value] : properties) {
    if (auto set = Set(conf, name, value, must_exist); !set) return set;
  }
  return {};
}

Result<void> SetUsers(rd_kafka_conf_t* conf, const std::map<std::string, std::string>& properties) {
  for (const auto& [name, value] : properties) {
    if (IsReserved(name)) {
      return Fail(ErrorClass::kConfig, fmt::format("kafka.properties: \"{}\" is weir's own to set", name),
                  "take it out; brokers and session timeout have settings of their own under kafka");
    }
    if (auto set = Set(conf, name, value, true); !set) return set;
  }
  return {};
}

}  // namespace

void ClientContext::Log(int level, std::string_view text) {
  using std::chrono::steady_clock;
  if (!log) return;
  const auto now = std::chrono::duration_cast<LineLimiter::Millis>(steady_clock::now().time_since_epoch());
  if (lines.Allows(text, now)) log(level, text);
}

bool IsReserved(std::string_view property) {
  // librdkafka takes topic properties under either spelling.
  if (property.starts_with("topic.")) property.remove_prefix(6);
  return std::find(kReserved.begin(), kReserved.end(), property) != kReserved.end();
}

Result<ConfHandle> MakeConf(const ClientOptions& options, const std::string& brokers,
                            const ClientConfig& config, ClientContext* context) {
  ConfHandle conf(rd_kafka_conf_new());
  rd_kafka_conf_set_opaque(conf.get(), context);
  rd_kafka_conf_set_log_cb(conf.get(), LogCallback);
  const Properties common = {
      {"socket.keepalive.enable", "true"},
      {"socket.timeout.ms", "10000"},
      {"reconnect.backoff.max.ms", "1000"},
      {"log.connection.close", "false"},  // brokers close idle connections; that is no news
  };
  const Properties identity = {{"bootstrap.servers", brokers},
                               {"client.id", UniqueClientId(options.client_id)}};
  auto set = SetAll(conf.get(), common, true);
  if (set) set = SetAll(conf.get(), config.defaults, true);
  if (set) set = SetAll(conf.get(), config.optional_defaults, false);
  if (set) set = SetUsers(conf.get(), options.properties);
  if (set) set = SetAll(conf.get(), config.fixed, true);
  if (set) set = SetAll(conf.get(), identity, true);
  if (!set) return Fail(std::move(set.error()));
  return conf;
}

Result<ClientHandle> MakeClient(rd_kafka_type_t type, ConfHandle conf) {
  std::array<char, 512> reason{};
  ClientHandle client(rd_kafka_new(type, conf.get(), reason.data(), reason.size()));
  if (client == nullptr) {
    return Fail(ErrorClass::kConfig, fmt::format("Kafka client cannot be made: {}", Printable(reason.data())),
                "look at kafka.properties");
  }
  static_cast<void>(conf.release());  // owned by the client from here on
  return client;
}

Result<std::string> RequireBrokers(const ClientOptions& options) {
  std::string brokers = ResolveBrokers(options.brokers);
  if (brokers.empty()) {
    return Fail(ErrorClass::kBroker, fmt::format("there is no broker address in \"{}\"", options.brokers),
                "is the broker running? `weir up` starts the embedded one; kafka.brokers names another");
  }
  return brokers;
}

std::string BrokerIdentity(const ClientOptions& options, const std::string& brokers) {
  if (!OnEmbeddedBroker(options)) return brokers;
  struct stat file {};
  (void)stat(AddressFileOf(options).c_str(), &file);
  return fmt::format("{} {} {}.{}", brokers, file.st_ino, file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
}

bool Moved(const std::string& brokers, const std::string& used) {
  const std::string now = ResolveBrokers(brokers);
  return !now.empty() && now != used;
}

}  // namespace weir::kafka
