#include "common/kafka/consumer_config.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::kafka {
namespace {

constexpr std::chrono::milliseconds kLeastSessionTimeout{3'200};
// 2.6.1. Before 2.3.0 a cooperative member that is closed before its first assignment aborts, and
// before 2.6.1 the assignor can loop for ever where members outnumber partitions.
constexpr int kGoodCooperative = 0x020601ff;

}  // namespace

bool IsCooperative(const ConsumerOptions& options, int version) {
  if (OnEmbeddedBroker(options.client)) return false;
  if (options.assignment == Assignment::kAuto) return version >= kGoodCooperative;
  return options.assignment == Assignment::kCooperative;
}

// The limits are those of DESIGN §7: with librdkafka's defaults a worker that holds all partitions takes
// hundreds of megabytes.
Result<ClientConfig> MakeConsumerConfig(const ConsumerOptions& options) {
  if (options.session_timeout < kLeastSessionTimeout) {
    return Fail(ErrorClass::kConfig,
                fmt::format("kafka.session_timeout is {} ms; a group is joined only from {} ms on",
                            options.session_timeout.count(), kLeastSessionTimeout.count()));
  }
  ClientConfig config;
  config.defaults = {
      {"queued.min.messages", "32"},
      {"queued.max.messages.kbytes", "128"},
      {"fetch.message.max.bytes", "32768"},
      {"fetch.max.bytes", "262144"},
      {"message.max.bytes", "131072"},
      // A broker sends a batch larger than fetch.max.bytes whole. This must hold the largest that a broker
      // takes by default (1,048,588 bytes), or one such message on the topic stops its partition for good.
      {"receive.message.max.bytes", "1200000"},
      {"auto.commit.interval.ms", "500"},
      // Who subscribes before the topics are made gets its partitions at the next look, by default after five
      // minutes.
      {"topic.metadata.refresh.interval.ms", "5000"},
  };
  // It answers a fetch that found nothing when this time is over and no earlier, so this is what a message
  // waits there.
  if (OnEmbeddedBroker(options.client)) config.defaults.emplace_back("fetch.wait.max.ms", "50");
  // How long a JoinGroup is waited for whose connection has fallen silent, by default five minutes. The poll
  // loop never stands for so long: executors work beside it.
  const auto session = options.session_timeout.count();
  config.defaults.emplace_back("max.poll.interval.ms",
                               std::to_string(std::max<std::int64_t>(30'000, session)));
  config.optional_defaults = {{"fetch.queue.backoff.ms", "10"}};  // librdkafka ≥ 2.2
  config.fixed = {
      {"group.id", options.group},
      {"session.timeout.ms", std::to_string(session)},
      {"heartbeat.interval.ms", std::to_string(std::min<std::int64_t>(3'000, session / 4))},
      // One alone: librdkafka refuses a list of both kinds.
      {"partition.assignment.strategy",
       IsCooperative(options, rd_kafka_version()) ? "cooperative-sticky" : "range"},
      {"enable.auto.offset.store", "false"},
      // The embedded broker's workers keep offsets themselves (partition_share.h).
      {"enable.auto.commit", OnEmbeddedBroker(options.client) ? "false" : "true"},
      {"auto.offset.reset", "earliest"},
      {"enable.partition.eof", "false"},
      {"statistics.interval.ms", "1000"},
  };
  if (!options.group_instance_id.empty())
    config.fixed.emplace_back("group.instance.id", options.group_instance_id);
  return config;
}

}  // namespace weir::kafka
