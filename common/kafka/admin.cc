#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include "common/kafka/client_config.h"
#include "common/kafka/producer.h"

namespace weir::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Wanted {
  std::string name;
  int partitions = 0;
  int max_message_bytes = 0;  // 0 = the broker's default
};

// weir's topics. A task is far under 128 KiB, so the task topics take no more: whatever another program sends
// there, a worker's memory stays bounded. Dead letters are tasks with their history and may be larger.
std::vector<Wanted> WeirTopics(const ClientOptions& options) {
  const Topics topics = TopicsOf(options);
  return {{topics.tasks, kTaskPartitions, 135'168},
          {topics.interactive, kTaskPartitions, 135'168},
          {topics.dead_letters, 1, 0}};
}

// What a broker says of one topic: how many partitions it has, and whether all have a leader.
struct Seen {
  int partitions = 0;
  bool ready = false;
};

class RdAdmin final : public Admin, private ClientContext {
 public:
  explicit RdAdmin(ClientOptions options) : options_(std::move(options)) { log = options_.log; }

  Result<void> Open() {
    auto brokers = RequireBrokers(options_);
    if (!brokers) return Fail(std::move(brokers.error()));
    brokers_ = std::move(*brokers);
    auto conf = MakeConf(options_, brokers_, {}, this);
    if (!conf) return Fail(std::move(conf.error()));
    rd_kafka_conf_set_error_cb(conf->get(), [](rd_kafka_t*, int error, const char* reason, void* opaque) {
      auto* self = static_cast<RdAdmin*>(static_cast<ClientContext*>(opaque));
      self->trouble.Note(static_cast<rd_kafka_resp_err_t>(error), reason, self->brokers_);
    });
    auto client = MakeClient(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!client) return Fail(std::move(client.error()));
    client_ = std::move(*client);
    return {};
  }

  Result<void> EnsureTopics(int replication_factor, milliseconds timeout) override {
    return Ensure(WeirTopics(options_), replication_factor, steady_clock::now() + timeout);
  }

  Result<void> CreateTopic(const std::string& name, int partitions, int replication_factor,
                           milliseconds timeout) override {
    return Ensure({{name, partitions, 0}}, replication_factor, steady_clock::now() + timeout);
  }

  Result<void> Check(milliseconds timeout) override {
    auto missing = Missing(WeirTopics(options_), steady_clock::now() + timeout);
    if (!missing) return Fail(std::move(missing.error()));
    if (missing->empty()) return {};
    return Fail(ErrorClass::kBroker,
                fmt::format("Kafka at {} has no topic {}", brokers_, missing->front().name),
                "weir makes its topics when it starts a sync; without the right to, have them made");
  }

  Result<void> CheckGroup(milliseconds timeout) override;

 private:
  using Deadline = steady_clock::time_point;

  // The topics are looked for first: the embedded broker has them and can create none, and where all are
  // there the right to create is not needed.
  Result<void> Ensure(const std::vector<Wanted>& topics, int replication_factor, Deadline deadline) {
    auto missing = Missing(topics, deadline);
    if (!missing) return Fail(std::move(missing.error()));
    if (missing->empty()) return {};
    if (auto created = Create(*missing, replication_factor, deadline); !created) return created;
    // Leaders are elected after the answer; until then a producer would fail.
    while (!missing->empty()) {
      if (steady_clock::now() >= deadline) {
        return Fail(ErrorClass::kBroker, fmt::format("topic {} has no leaders yet", missing->front().name));
      }
      std::this_thread::sleep_for(milliseconds{50});
      missing = Missing(topics, deadline);
      if (!missing) return Fail(std::move(missing.error()));
    }
    return {};
  }

  Result<std::vector<Wanted>> Missing(const std::vector<Wanted>& topics, Deadline deadline);
  // Of all topics. Errors: kBroker, with the reason in Kafka's words where it is known.
  Result<MetadataHandle> Ask(Deadline deadline);
  Result<void> Create(const std::vector<Wanted>& topics, int replication_factor, Deadline deadline);
  static Result<void> ReadAnswer(rd_kafka_event_t* event);
  static int Left(Deadline deadline) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    return static_cast<int>(std::clamp(left, milliseconds{1}, milliseconds{600'000}).count());
  }

  const ClientOptions options_;
  std::string brokers_;
  ClientHandle client_;
};

Seen Look(const rd_kafka_metadata_t& metadata, const std::string& topic) {
  for (int i = 0; i < metadata.topic_cnt; ++i) {
    const auto& found = metadata.topics[i];
    if (topic != found.topic || found.err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    Seen seen{found.partition_cnt, found.partition_cnt > 0};
    for (int p = 0; p < found.partition_cnt; ++p) seen.ready = seen.ready && found.partitions[p].leader >= 0;
    return seen;
  }
  return {};
}

// The error in an answer to AlterConsumerGroupOffsets of one partition, wherever it stands.
rd_kafka_resp_err_t RefusalIn(rd_kafka_event_t* event) {
  if (const auto error = rd_kafka_event_error(event); error != RD_KAFKA_RESP_ERR_NO_ERROR) return error;
  std::size_t count = 0;
  const auto* answer = rd_kafka_event_AlterConsumerGroupOffsets_result(event);
  const auto** groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(answer, &count);
  if (count == 0) return RD_KAFKA_RESP_ERR_NO_ERROR;
  if (const auto* error = rd_kafka_group_result_error(groups[0])) return rd_kafka_error_code(error);
  const auto* partitions = rd_kafka_group_result_partitions(groups[0]);
  return partitions != nullptr && partitions->cnt > 0 ? partitions->elems[0].err : RD_KAFKA_RESP_ERR_NO_ERROR;
}

Result<MetadataHandle> RdAdmin::Ask(Deadline deadline) {
  // In slices: while its brokers are out of reach librdkafka waits for the whole timeout, also where it has
  // said that they refuse the login.
  constexpr int kSlice = 500;
  for (;;) {
    const rd_kafka_metadata_t* raw = nullptr;
    // All topics, not those by name: asking by name would make the embedded broker create what is missing,
    // with another number of partitions.
    const auto error = rd_kafka_metadata(client_.get(), 1, nullptr, &raw, std::min(Left(deadline), kSlice));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return MetadataHandle(raw);
    rd_kafka_poll(client_.get(), 0);  // what it has to say
    if (steady_clock::now() < deadline && !trouble.LoginRefused()) continue;
    if (const auto known = trouble.Now()) return Fail(*known);
    return Fail(ErrorClass::kBroker,
                fmt::format("Kafka at {} does not answer: {}", brokers_, rd_kafka_err2str(error)),
                "is it running there, and are kafka.brokers and kafka.properties right?");
  }
}

Result<std::vector<Wanted>> RdAdmin::Missing(const std::vector<Wanted>& topics, Deadline deadline) {
  const auto metadata = Ask(deadline);
  if (!metadata) return Fail(metadata.error());
  std::vector<Wanted> missing;
  int tasks = 0;  // how many partitions the first of two that must be alike has
  for (const auto& topic : topics) {
    const Seen seen = Look(**metadata, topic.name);
    if (seen.partitions > 0 && seen.partitions < topic.partitions) {
      return Fail(ErrorClass::kConfig,
                  fmt::format("topic {} has {} partitions, weir needs {}", topic.name, seen.partitions,
                              topic.partitions),
                  "raise their number with Kafka's own tools (kafka-topics --alter)");
    }
    if (!seen.ready) missing.push_back(topic);
    // Who gets a partition of the tasks reads that of the interactive ones, too: more of these nobody would
    // read.
    if (topic.partitions != kTaskPartitions || !seen.ready) continue;
    if (tasks > 0 && tasks != seen.partitions) {
      return Fail(ErrorClass::kConfig,
                  fmt::format("topic {} has {} partitions and {} has {}; weir needs as many of both",
                              topics.front().name, tasks, topic.name, seen.partitions),
                  "raise the smaller number with Kafka's own tools (kafka-topics --alter)");
    }
    tasks = seen.partitions;
  }
  return missing;
}

Result<void> RdAdmin::Create(const std::vector<Wanted>& topics, int replication_factor, Deadline deadline) {
  std::vector<NewTopicHandle> owned;
  std::vector<rd_kafka_NewTopic_t*> list;
  std::array<char, 512> reason{};
  for (const auto& topic : topics) {
    owned.emplace_back(rd_kafka_NewTopic_new(topic.name.c_str(), topic.partitions, replication_factor,
                                             reason.data(), reason.size()));
    if (owned.back() == nullptr)
      return Fail(ErrorClass::kConfig, fmt::format("topic {}: {}", topic.name, reason.data()));
    if (topic.max_message_bytes > 0) {
      rd_kafka_NewTopic_set_config(owned.back().get(), "max.message.bytes",
                                   std::to_string(topic.max_message_bytes).c_str());
    }
    // The broker's clock, not the sender's: a broker refuses messages from the future, and soon deletes those
    // from the past, when a producer's clock is wrong.
    rd_kafka_NewTopic_set_config(owned.back().get(), "message.timestamp.type", "LogAppendTime");
    list.push_back(owned.back().get());
  }
  const AdminOptionsHandle options(rd_kafka_AdminOptions_new(client_.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS));
  rd_kafka_AdminOptions_set_request_timeout(options.get(), Left(deadline), reason.data(), reason.size());
  const QueueHandle queue(rd_kafka_queue_new(client_.get()));
  rd_kafka_CreateTopics(client_.get(), list.data(), list.size(), options.get(), queue.get());
  // The request ends by its own timeout, so this one only guards against a lost answer.
  const EventHandle event(rd_kafka_queue_poll(queue.get(), Left(deadline) + 1'000));
  return ReadAnswer(event.get());
}

Result<void> RdAdmin::ReadAnswer(rd_kafka_event_t* event) {
  const std::string_view hint =
      "creating topics needs that right; else have them made (48, 48 and 1 partitions)";
  if (event == nullptr) return Fail(ErrorClass::kBroker, "no answer to creating topics", std::string(hint));
  if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Fail(ErrorClass::kBroker, fmt::format("creating topics: {}", rd_kafka_event_error_string(event)),
                std::string(hint));
  }
  const auto* answer = rd_kafka_event_CreateTopics_result(event);
  std::size_t count = 0;
  const auto* topics = rd_kafka_CreateTopics_result_topics(answer, &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto error = rd_kafka_topic_result_error(topics[i]);
    // Two programs may start at once.
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
    const char* text = rd_kafka_topic_result_error_string(topics[i]);
    return Fail(ErrorClass::kBroker,
                fmt::format("creating topic {}: {}", rd_kafka_topic_result_name(topics[i]),
                            text != nullptr ? text : rd_kafka_err2str(error)),
                std::string(hint));
  }
  return {};
}

// Asks to commit an offset of a partition that is not there. Kafka looks at the rights first: whoever may
// read as one of the group, and read the topic, is told that there is no such partition.
Result<void> RdAdmin::CheckGroup(milliseconds timeout) {
  if (OnEmbeddedBroker(options_)) return {};
  constexpr int kNoPartition = 1'000'000;
  const Deadline deadline = steady_clock::now() + timeout;
  const Topics topics = TopicsOf(options_);
  const PartitionList none(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(none.get(), topics.tasks.c_str(), kNoPartition)->offset = 0;
  const AlterOffsetsHandle asked(rd_kafka_AlterConsumerGroupOffsets_new(topics.group.c_str(), none.get()));
  std::array<char, 512> reason{};
  const AdminOptionsHandle options(
      rd_kafka_AdminOptions_new(client_.get(), RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS));
  rd_kafka_AdminOptions_set_request_timeout(options.get(), Left(deadline), reason.data(), reason.size());
  const QueueHandle queue(rd_kafka_queue_new(client_.get()));
  auto* one = asked.get();
  rd_kafka_AlterConsumerGroupOffsets(client_.get(), &one, 1, options.get(), queue.get());
  const EventHandle event(rd_kafka_queue_poll(queue.get(), Left(deadline) + 1'000));
  if (event == nullptr) return {};
  const auto refused = RefusalIn(event.get());
  if (refused == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
    return Fail(ExplainGroup(topics.group, rd_kafka_err2str(refused), brokers_));
  if (auto known =
          ExplainTrouble(refused, fmt::format("{}: {}", topics.tasks, rd_kafka_err2str(refused)), brokers_);
      known && refused == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
    return Fail(std::move(*known));
  return {};
}

}  // namespace

Result<std::unique_ptr<Admin>> Admin::Create(ClientOptions options) {
  auto admin = std::make_unique<RdAdmin>(std::move(options));
  if (auto opened = admin->Open(); !opened) return Fail(std::move(opened.error()));
  return admin;
}

}  // namespace weir::kafka
