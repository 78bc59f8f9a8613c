#include "common/kafka/testing/kafka_control.h"

#include <fmt/format.h>

#include "common/kafka/client_config.h"
#include "common/kafka/rdkafka_handles.h"

namespace weir::kafka::testing {
namespace {

constexpr int kTimeoutMs = 20'000;

class Control : private ClientContext {
 public:
  // `group` "" = one that does not matter: a consumer that never joins.
  Result<void> Open(const std::string& brokers, const std::string& group) {
    ClientOptions options;
    options.brokers = brokers;
    return Open(std::move(options), group);
  }
  Result<void> Open(ClientOptions options, const std::string& group) {
    log = [](int, std::string_view) {};
    options.client_id = "weir-test-control";
    ClientConfig config;
    config.fixed = {{"group.id", group.empty() ? "weir-test-control" : group},
                    {"enable.auto.commit", "false"}};
    auto conf = MakeConf(options, options.brokers, config, this);
    if (!conf) return Fail(std::move(conf.error()));
    auto client = MakeClient(RD_KAFKA_CONSUMER, std::move(*conf));
    if (!client) return Fail(std::move(client.error()));
    client_ = std::move(*client);
    return {};
  }
  rd_kafka_t* get() const { return client_.get(); }

 private:
  ClientHandle client_;
};

PartitionList ListOf(const std::vector<TopicSize>& topics) {
  PartitionList list(rd_kafka_topic_partition_list_new(64));
  for (const TopicSize& topic : topics) {
    for (int i = 0; i < topic.partitions; ++i)
      rd_kafka_topic_partition_list_add(list.get(), topic.topic.c_str(), i);
  }
  return list;
}

Result<void> Check(rd_kafka_resp_err_t error, std::string_view doing) {
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return Fail(ErrorClass::kBroker, fmt::format("{}: {}", doing, rd_kafka_err2str(error)));
}

// Sums over all partitions what is after `list`'s offset (or the first one there is).
Result<std::int64_t> After(const Control& control, const rd_kafka_topic_partition_list_t& list) {
  std::int64_t sum = 0;
  for (int i = 0; i < list.cnt; ++i) {
    const auto& one = list.elems[i];
    std::int64_t low = 0, high = 0;
    auto asked = Check(
        rd_kafka_query_watermark_offsets(control.get(), one.topic, one.partition, &low, &high, kTimeoutMs),
        "watermarks");
    if (!asked) return Fail(asked.error());
    sum += high - (one.offset < low ? low : one.offset);
  }
  return sum;
}

// Runs an admin request and checks its answer as a whole; `event` for the parts.
template <typename Request>
Result<EventHandle> Ask(const Control& control, const Request& request, std::string_view doing) {
  const QueueHandle queue(rd_kafka_queue_new(control.get()));
  request(queue.get());
  EventHandle event(rd_kafka_queue_poll(queue.get(), kTimeoutMs));
  if (event == nullptr) return Fail(ErrorClass::kBroker, fmt::format("{}: no answer", doing));
  if (auto ok = Check(rd_kafka_event_error(event.get()), doing); !ok) return Fail(ok.error());
  return event;
}

}  // namespace

Result<std::int64_t> Lag(const std::string& brokers, const std::string& group,
                         const std::vector<TopicSize>& topics) {
  Control control;
  if (auto ok = control.Open(brokers, group); !ok) return Fail(ok.error());
  const auto list = ListOf(topics);
  auto read = Check(rd_kafka_committed(control.get(), list.get(), kTimeoutMs), "committed offsets");
  if (!read) return Fail(read.error());
  return After(control, *list);
}

Result<std::int64_t> Held(const std::string& brokers, const std::vector<TopicSize>& topics) {
  Control control;
  if (auto ok = control.Open(brokers, ""); !ok) return Fail(ok.error());
  return After(control, *ListOf(topics));
}

Result<void> Empty(const std::string& brokers, const std::vector<TopicSize>& topics) {
  Control control;
  if (auto ok = control.Open(brokers, ""); !ok) return Fail(ok.error());
  const auto list = ListOf(topics);
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = RD_KAFKA_OFFSET_END;
  const std::unique_ptr<rd_kafka_DeleteRecords_t, Freed<rd_kafka_DeleteRecords_destroy>> wanted(
      rd_kafka_DeleteRecords_new(list.get()));
  auto event = Ask(
      control,
      [&](rd_kafka_queue_t* queue) {
        rd_kafka_DeleteRecords_t* one = wanted.get();
        rd_kafka_DeleteRecords(control.get(), &one, 1, nullptr, queue);
      },
      "deleting records");
  if (!event) return Fail(event.error());
  const auto* done = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event->get()));
  for (int i = 0; i < done->cnt; ++i) {
    if (auto ok = Check(done->elems[i].err, "deleting records"); !ok) return ok;
  }
  return {};
}

Result<void> DeleteTopics(const std::string& brokers, const std::vector<std::string>& topics) {
  Control control;
  if (auto ok = control.Open(brokers, ""); !ok) return Fail(ok.error());
  std::vector<std::unique_ptr<rd_kafka_DeleteTopic_t, Freed<rd_kafka_DeleteTopic_destroy>>> owned;
  std::vector<rd_kafka_DeleteTopic_t*> list;
  for (const std::string& topic : topics) {
    owned.emplace_back(rd_kafka_DeleteTopic_new(topic.c_str()));
    list.push_back(owned.back().get());
  }
  auto event = Ask(
      control,
      [&](rd_kafka_queue_t* queue) {
        rd_kafka_DeleteTopics(control.get(), list.data(), list.size(), nullptr, queue);
      },
      "deleting topics");
  if (!event) return Fail(event.error());
  std::size_t count = 0;
  const auto* done =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event->get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto error = rd_kafka_topic_result_error(done[i]);
    // One that was never made is as good as deleted.
    if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) continue;
    if (auto ok = Check(error, "deleting topics"); !ok) return ok;
  }
  return {};
}

Result<void> DeleteGroup(const std::string& brokers, const std::string& group) {
  Control control;
  if (auto ok = control.Open(brokers, ""); !ok) return Fail(ok.error());
  const std::unique_ptr<rd_kafka_DeleteGroup_t, Freed<rd_kafka_DeleteGroup_destroy>> wanted(
      rd_kafka_DeleteGroup_new(group.c_str()));
  auto event = Ask(
      control,
      [&](rd_kafka_queue_t* queue) {
        rd_kafka_DeleteGroup_t* one = wanted.get();
        rd_kafka_DeleteGroups(control.get(), &one, 1, nullptr, queue);
      },
      "deleting the group");
  if (!event) return Fail(event.error());
  std::size_t count = 0;
  const auto* groups =
      rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event->get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const rd_kafka_error_t* error = rd_kafka_group_result_error(groups[i]);
    if (error != nullptr) return Check(rd_kafka_error_code(error), "deleting the group");
  }
  return {};
}

Result<void> GrantGroup(const ClientOptions& admin, const std::string& group, const std::string& user) {
  Control control;
  if (auto ok = control.Open(admin, ""); !ok) return Fail(ok.error());
  char reason[256] = {};
  using Binding = std::unique_ptr<rd_kafka_AclBinding_t, Freed<rd_kafka_AclBinding_destroy>>;
  const Binding binding(rd_kafka_AclBinding_new(
      RD_KAFKA_RESOURCE_GROUP, group.c_str(), RD_KAFKA_RESOURCE_PATTERN_LITERAL, user.c_str(), "*",
      RD_KAFKA_ACL_OPERATION_READ, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, reason, sizeof reason));
  if (binding == nullptr) return Fail(ErrorClass::kBroker, reason);
  const auto request = [&](rd_kafka_queue_t* queue) {
    auto* one = binding.get();
    rd_kafka_CreateAcls(control.get(), &one, 1, nullptr, queue);
  };
  auto event = Ask(control, request, "granting a group");
  if (!event) return Fail(event.error());
  std::size_t count = 0;
  const auto* const* results =
      rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event->get()), &count);
  const auto* error = count == 1 ? rd_kafka_acl_result_error(results[0]) : nullptr;
  return error == nullptr ? Result<void>() : Check(rd_kafka_error_code(error), "granting a group");
}

Result<int> Coordinator(const std::string& brokers, const std::string& group) {
  Control control;
  if (auto ok = control.Open(brokers, ""); !ok) return Fail(ok.error());
  const rd_kafka_group_list* raw = nullptr;
  auto listed = Check(rd_kafka_list_groups(control.get(), group.c_str(), &raw, kTimeoutMs), "the group");
  if (!listed) return Fail(listed.error());
  const std::unique_ptr<const rd_kafka_group_list, Freed<rd_kafka_group_list_destroy>> groups(raw);
  if (groups->group_cnt != 1) return Fail(ErrorClass::kBroker, "the group is not there");
  return groups->groups[0].broker.id;
}

Result<std::vector<int>> LeadersOfHeld(const std::string& brokers, const TopicSize& topic) {
  Control control;
  if (auto ok = control.Open(brokers, ""); !ok) return Fail(ok.error());
  const TopicHandle handle(rd_kafka_topic_new(control.get(), topic.topic.c_str(), nullptr));
  const rd_kafka_metadata_t* raw = nullptr;
  auto asked = Check(rd_kafka_metadata(control.get(), 0, handle.get(), &raw, kTimeoutMs), "metadata");
  if (!asked) return Fail(asked.error());
  const MetadataHandle metadata(raw);
  std::vector<int> leaders;
  for (int i = 0; i < metadata->topics[0].partition_cnt; ++i) {
    const rd_kafka_metadata_partition_t& partition = metadata->topics[0].partitions[i];
    std::int64_t low = 0, high = 0;
    auto held = Check(rd_kafka_query_watermark_offsets(control.get(), topic.topic.c_str(), partition.id, &low,
                                                       &high, kTimeoutMs),
                      "watermarks");
    if (!held) return Fail(held.error());
    if (high > low) leaders.push_back(partition.leader);
  }
  return leaders;
}

}  // namespace weir::kafka::testing
