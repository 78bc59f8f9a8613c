#include "common/kafka/consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <utility>

#include "common/kafka/client_config.h"
#include "common/kafka/client_statistics.h"
#include "common/kafka/clock_watch.h"
#include "common/kafka/consumer_config.h"
#include "common/kafka/partition_share.h"
#include "common/kafka/wake_signal.h"

namespace weir::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::vector<TopicPartition> ToVector(const rd_kafka_topic_partition_list_t* list) {
  std::vector<TopicPartition> partitions;
  if (list == nullptr) return partitions;
  partitions.reserve(static_cast<std::size_t>(list->cnt));
  for (int i = 0; i < list->cnt; ++i) partitions.push_back({list->elems[i].topic, list->elems[i].partition});
  return partitions;
}

std::string Bytes(const void* data, std::size_t size) {
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

Message ToMessage(const rd_kafka_message_t& raw, const TopicPartition& from) {
  Message message;
  message.from = from;
  message.offset = raw.offset;
  message.key = Bytes(raw.key, raw.key_len);
  message.value = Bytes(raw.payload, raw.len);
  rd_kafka_headers_t* headers = nullptr;  // owned by `raw`
  if (rd_kafka_message_headers(&raw, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return message;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; ++i) {
    message.headers.push_back({name, Bytes(value, size)});
  }
  return message;
}

class RdConsumer final : public Consumer, private ClientContext {
 public:
  RdConsumer(ConsumerOptions options, RebalanceListener* listener)
      : options_(std::move(options)), listener_(listener) {
    log = options_.client.log;
  }

  ~RdConsumer() override {
    if (client_ != nullptr) Free();
  }

  Result<void> Open() {
    auto config = MakeConsumerConfig(options_);
    if (!config) return Fail(std::move(config.error()));
    auto brokers = RequireBrokers(options_.client);
    if (!brokers) return Fail(std::move(brokers.error()));
    brokers_ = std::move(*brokers);
    auto conf = MakeConf(options_.client, brokers_, *config, this);
    if (!conf) return Fail(std::move(conf.error()));
    SetCallbacks(conf->get());
    auto client = MakeClient(RD_KAFKA_CONSUMER, std::move(*conf));
    if (!client) return Fail(std::move(client.error()));
    client_ = std::move(*client);
    cooperative_ = IsCooperative(options_, rd_kafka_version());
    (void)clock_.SetBack();  // from here on
    rd_kafka_poll_set_consumer(client_.get());
    main_queue_.reset(rd_kafka_queue_get_consumer(client_.get()));
    WakeOn(main_queue_.get(), true);
    signal_.Raise();  // what was queued before the wake was set up
    return OnEmbeddedBroker(options_.client) ? Share() : Subscribe();
  }

  Result<void> Poll(milliseconds timeout) override {
    if (client_ == nullptr) return Fail(ErrorClass::kBroker, "the Kafka consumer is closed");
    signal_.Wait(timeout);
    if (share_) FollowShare();
    // Ours are split queues, so the main one yields callbacks and errors, never a message of a partition.
    while (MessageHandle event{rd_kafka_consumer_poll(client_.get(), 0)}) HandleEvent(*event);
    std::array<char, 512> reason{};
    const auto fatal = rd_kafka_fatal_error(client_.get(), reason.data(), reason.size());
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return Fail(ErrorClass::kBroker, fmt::format("the Kafka consumer failed for good: {}", reason.data()));
    }
    return CheckMixed();
  }

  std::optional<Message> Next(const TopicPartition& partition) override {
    const auto queue = queues_.find(partition);
    if (queue == queues_.end()) return std::nullopt;
    // librdkafka puts a partition's errors into its queue too; it goes on by itself after them.
    while (MessageHandle raw{rd_kafka_consume_queue(queue->second.get(), 0)}) {
      if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR) return ToMessage(*raw, partition);
      HandleEvent(*raw);
    }
    return std::nullopt;
  }

  std::vector<TopicPartition> Assignment() const override {
    std::vector<TopicPartition> partitions;
    partitions.reserve(queues_.size());
    for (const auto& [partition, queue] : queues_) partitions.push_back(partition);
    return partitions;
  }

  Result<void> StoreOffset(const TopicPartition& partition, std::int64_t next_offset) override {
    const auto gone = [&partition](std::string_view why) {
      return Fail(ErrorClass::kStopped, fmt::format("{} [{}] is not assigned any more: {}", partition.topic,
                                                    partition.partition, why));
    };
    if (!queues_.contains(partition)) return gone("revoked");
    if (share_) share_->StoreOffset(TopicIndex(partition.topic), partition.partition, next_offset);
    PartitionList list(rd_kafka_topic_partition_list_new(1));
    auto* element =
        rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition);
    element->offset = next_offset;
    const auto error = rd_kafka_offsets_store(client_.get(), list.get());
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return gone(rd_kafka_err2str(error));
    return {};
  }

  Result<void> CommitNow() override {
    if (client_ == nullptr) return Fail(ErrorClass::kStopped, "the Kafka consumer is closed");
    if (share_) return {};  // what is stored there is committed
    const auto error = rd_kafka_commit(client_.get(), nullptr, 0);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR__NO_OFFSET) return {};
    return Fail(ErrorClass::kTransient, fmt::format("offsets not committed: {}", rd_kafka_err2str(error)));
  }

  void Close(milliseconds timeout) override;

  std::int64_t BytesReceived() const override { return bytes_received_; }
  std::int64_t Lag() const override { return lag_; }
  void Wake() override { signal_.Raise(); }
  bool BrokersDown() const override { return brokers_down_; }
  bool AddressChanged() const override { return Moved(options_.client.brokers, brokers_); }
  bool ClockSetBack() override { return clock_.SetBack(); }

 private:
  static RdConsumer* Self(void* opaque) {
    return static_cast<RdConsumer*>(static_cast<ClientContext*>(opaque));
  }

  static void SetCallbacks(rd_kafka_conf_t* conf);
  Result<void> Subscribe();
  Result<void> Share();
  void FollowShare();
  void TakeShare(const std::vector<TopicPartition>& partitions);
  void GiveShare(const std::vector<TopicPartition>& partitions, bool lost);
  int TopicIndex(const std::string& topic) const;
  void SplitOff(const TopicPartition& partition);
  void HandleEvent(const rd_kafka_message_t& event);
  void OnRefusedSession();
  void OnMixedGroup();
  Error MixedGroup() const;
  Result<void> CheckMixed() const;
  // Says what the error is in the user's words; false = it has none.
  bool SayRefusal(rd_kafka_resp_err_t code, const char* reason);
  void OnError(rd_kafka_resp_err_t error, const char* reason);
  void OnStatistics(std::string_view json);
  void OnRebalance(rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* list);
  PartitionList WithSiblings(const rd_kafka_topic_partition_list_t* list) const;
  void Assign(const rd_kafka_topic_partition_list_t* list);
  void Unassign(const rd_kafka_topic_partition_list_t* list);
  void GiveBack(const rd_kafka_topic_partition_list_t* list);
  void Check(const char* what, const ErrorHandle& error);
  void ServeClosing(const EventHandle& event);
  void WakeOn(rd_kafka_queue_t* queue, bool on) const;
  void DropQueue(const TopicPartition& partition);
  void DropQueues();
  void Free();

  const ConsumerOptions options_;
  RebalanceListener* const listener_;
  ClockWatch clock_;
  const SystemClock boot_clock_;
  std::string brokers_;  // the bootstrap list this client was made with
  WakeSignal signal_;
  ClientHandle client_;  // null after Close
  QueueHandle main_queue_;
  std::map<TopicPartition, QueueHandle> queues_;  // the assignment; the polling thread's
  bool cooperative_ = false;
  std::unique_ptr<PartitionShare> share_;  // in place of a group, on the embedded broker
  bool closing_ = false;
  bool rebalanced_ = false;  // it has been in the group
  bool refusal_said_ = false;
  std::optional<steady_clock::time_point> mixed_since_;
  std::atomic<std::int64_t> bytes_received_{0};
  std::atomic<std::int64_t> lag_{0};
  std::atomic<bool> brokers_down_{false};
};

void RdConsumer::SetCallbacks(rd_kafka_conf_t* conf) {
  rd_kafka_conf_set_rebalance_cb(
      conf, [](rd_kafka_t*, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* list, void* opaque) {
        Self(opaque)->OnRebalance(what, list);
      });
  rd_kafka_conf_set_error_cb(conf, [](rd_kafka_t*, int error, const char* reason, void* opaque) {
    Self(opaque)->OnError(static_cast<rd_kafka_resp_err_t>(error), reason);
  });
  rd_kafka_conf_set_stats_cb(conf, [](rd_kafka_t*, char* json, std::size_t size, void* opaque) {
    Self(opaque)->OnStatistics({json, size});
    return 0;  // librdkafka frees the text
  });
}

// range gives partition n of all topics to one member, so that a lane's bulk and interactive tasks meet in
// one worker. cooperative-sticky knows no such rule: the group shares out the first topic alone, and who gets
// a partition of it takes those of the same number (WithSiblings).
Result<void> RdConsumer::Subscribe() {
  PartitionList topics(rd_kafka_topic_partition_list_new(static_cast<int>(options_.topics.size())));
  for (const auto& topic : options_.topics) {
    rd_kafka_topic_partition_list_add(topics.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    if (cooperative_) break;
  }
  const auto error = rd_kafka_subscribe(client_.get(), topics.get());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return Fail(ErrorClass::kConfig, fmt::format("cannot subscribe: {}", rd_kafka_err2str(error)));
}

Result<void> RdConsumer::Share() {
  if (options_.topics.size() > PartitionShare::kMostTopics)
    return Fail(ErrorClass::kInternal, "more topics than the embedded broker's workers share");
  PartitionShare::Options options;
  options.path = fmt::format("{}.{}.members", AddressFileOf(options_.client), options_.group);
  options.broker = BrokerIdentity(options_.client, brokers_);
  options.stale = options_.session_timeout;
  options.expected = options_.peers;
  auto share = PartitionShare::Join(std::move(options), boot_clock_);
  if (!share) return Fail(std::move(share.error()));
  share_ = std::move(*share);
  return {};
}

// Takes and gives up what has changed hands since the last look.
void RdConsumer::FollowShare() {
  const PartitionShare::Turn turn = share_->Look();
  if (turn.lost) GiveShare(Assignment(), true);
  std::vector<TopicPartition> given, taken;
  for (const auto& [partition, queue] : queues_) {
    if (!turn.Mine(partition.partition)) given.push_back(partition);
  }
  for (const std::string& topic : options_.topics) {
    for (int p = 0; p < kTaskPartitions; ++p) {
      if (turn.Mine(p) && !queues_.contains({topic, p})) taken.push_back({topic, p});
    }
  }
  if (!given.empty()) GiveShare(given, false);
  if (!taken.empty()) TakeShare(taken);
}

void RdConsumer::TakeShare(const std::vector<TopicPartition>& partitions) {
  PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const auto& partition : partitions) {
    SplitOff(partition);
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition)->offset =
        share_->Offset(TopicIndex(partition.topic), partition.partition).value_or(RD_KAFKA_OFFSET_BEGINNING);
  }
  const ErrorHandle error(rd_kafka_incremental_assign(client_.get(), list.get()));
  if (error != nullptr) Log(3, fmt::format("kafka: assign: {}", rd_kafka_error_string(error.get())));
  listener_->OnAssigned(partitions);
}

void RdConsumer::GiveShare(const std::vector<TopicPartition>& partitions, bool lost) {
  if (partitions.empty()) return;
  if (lost) {
    listener_->OnLost(partitions);
  } else {
    listener_->OnRevoked(partitions);
  }
  PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const auto& partition : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition);
    const auto queue = queues_.find(partition);
    WakeOn(queue->second.get(), false);
    queues_.erase(queue);
  }
  const ErrorHandle error(rd_kafka_incremental_unassign(client_.get(), list.get()));
  if (error != nullptr) Log(3, fmt::format("kafka: unassign: {}", rd_kafka_error_string(error.get())));
}

int RdConsumer::TopicIndex(const std::string& topic) const {
  return static_cast<int>(std::find(options_.topics.begin(), options_.topics.end(), topic) -
                          options_.topics.begin());
}

void RdConsumer::HandleEvent(const rd_kafka_message_t& event) {
  const char* topic = event.rkt == nullptr ? "" : rd_kafka_topic_name(event.rkt);
  if (event.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    // Cannot be while Assign splits before it assigns; if it ever is, the message is not lost, only late: its
    // offset is never stored, so that it comes again with the next assignment.
    Log(3, fmt::format("kafka: {} [{}]: a message in the main queue was not read", topic, event.partition));
    return;
  }
  if (event.err == RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT) return OnRefusedSession();
  if (event.err == RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL) return OnMixedGroup();
  if (SayRefusal(event.err, rd_kafka_message_errstr(&event))) return;
  Log(4, fmt::format("kafka: {} [{}]: {}", topic, event.partition, rd_kafka_message_errstr(&event)));
}

// It tries again and again; once is enough to say it.
void RdConsumer::OnRefusedSession() {
  if (std::exchange(refusal_said_, true)) return;
  Log(3,
      fmt::format("the broker lets no member in with a session timeout of {} ms; set kafka.session_timeout "
                  "to what its group.min.session.timeout.ms and group.max.session.timeout.ms allow (Kafka's "
                  "defaults: 6 s to 30 min)",
                  options_.session_timeout.count()));
}

// librdkafka tries again for ever. That is right for a while: members that were killed count as the group's
// until their session ends.
void RdConsumer::OnMixedGroup() {
  if (mixed_since_) return;
  mixed_since_ = steady_clock::now();
  const Error error = MixedGroup();
  Log(3, fmt::format("{}; {}", error.message, error.hint));
}

Error RdConsumer::MixedGroup() const {
  return MakeError(
      ErrorClass::kConfig,
      fmt::format("Kafka refuses this worker: group {} has members that share partitions out in another way "
                  "than kafka.assignment={} of this one",
                  options_.group, cooperative_ ? "cooperative" : "eager"),
      "set kafka.assignment to the same on all workers (auto depends on librdkafka's version); to change it, "
      "stop all workers before the first new one starts");
}

Result<void> RdConsumer::CheckMixed() const {
  if (!mixed_since_ || steady_clock::now() - *mixed_since_ < 2 * options_.session_timeout) return {};
  return Fail(MixedGroup());
}

// Likewise, of a login or a right that somebody must mend; what is only away comes back by itself.
bool RdConsumer::SayRefusal(rd_kafka_resp_err_t code, const char* reason) {
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__TRANSPORT) return false;
  const auto known = code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
                         ? ExplainGroup(options_.group, reason, brokers_)
                         : ExplainTrouble(code, reason, brokers_);
  if (known) Log(3, fmt::format("{}; {}", known->message, known->hint));
  return known.has_value();
}

void RdConsumer::OnError(rd_kafka_resp_err_t error, const char* reason) {
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) brokers_down_ = true;
  if (SayRefusal(error, reason)) return;
  Log(4, fmt::format("kafka: {}: {}", rd_kafka_err2name(error), reason));
}

void RdConsumer::OnStatistics(std::string_view json) {
  const auto read = ReadStatistics(json);
  bytes_received_ = read.bytes_received;
  lag_ = read.lag;
  // Only the way back is taken from here: a client that has just started has no broker up yet either.
  if (read.any_broker_up) brokers_down_ = false;
}

void RdConsumer::OnRebalance(rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* list) {
  rebalanced_ = true;
  mixed_since_.reset();
  const PartitionList all = WithSiblings(list);
  if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !closing_) {
    Assign(all.get());
  } else if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && cooperative_) {
    // Too late to begin with them; what was assigned before is revoked by itself.
    Check("assign", ErrorHandle(rd_kafka_incremental_assign(client_.get(), all.get())));
  } else {
    Unassign(all.get());
  }
}

// Of a cooperative group, which knows only the first topic's partitions: with those of the same number of the
// other topics.
PartitionList RdConsumer::WithSiblings(const rd_kafka_topic_partition_list_t* list) const {
  if (list == nullptr) return PartitionList(rd_kafka_topic_partition_list_new(0));
  PartitionList all(rd_kafka_topic_partition_list_copy(list));
  if (!cooperative_) return all;
  for (int i = 0; i < list->cnt; ++i) {
    for (std::size_t t = 1; t < options_.topics.size(); ++t) {
      rd_kafka_topic_partition_list_add(all.get(), options_.topics[t].c_str(), list->elems[i].partition);
    }
  }
  return all;
}

void RdConsumer::Check(const char* what, const ErrorHandle& error) {
  if (error) Log(3, fmt::format("kafka: {}: {}", what, rd_kafka_error_string(error.get())));
}

// Before the assignment: after it, messages might already be on their way to the main queue.
void RdConsumer::SplitOff(const TopicPartition& partition) {
  QueueHandle queue(
      rd_kafka_queue_get_partition(client_.get(), partition.topic.c_str(), partition.partition));
  rd_kafka_queue_forward(queue.get(), nullptr);
  WakeOn(queue.get(), true);
  queues_[partition] = std::move(queue);
}

void RdConsumer::Assign(const rd_kafka_topic_partition_list_t* list) {
  const auto partitions = ToVector(list);
  for (const auto& partition : partitions) SplitOff(partition);
  if (cooperative_) {
    Check("assign", ErrorHandle(rd_kafka_incremental_assign(client_.get(), list)));
  } else if (const auto error = rd_kafka_assign(client_.get(), list); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Log(3, fmt::format("kafka: assign: {}", rd_kafka_err2str(error)));
  }
  listener_->OnAssigned(partitions);
}

void RdConsumer::Unassign(const rd_kafka_topic_partition_list_t* list) {
  const auto partitions = ToVector(list);
  if (rd_kafka_assignment_lost(client_.get()) != 0) {
    // Another member may own them already: nothing is committed any more.
    listener_->OnLost(partitions);
  } else {
    listener_->OnRevoked(partitions);
    // The embedded broker refuses it amid a rebalance (librdkafka's mock knows no commits then); Kafka does
    // not.
    if (auto committed = CommitNow(); !committed) Log(6, "kafka: on revoke: " + committed.error().message);
  }
  GiveBack(list);
}

// An eager group's revocation is of all partitions, a cooperative one's of those that another member gets.
void RdConsumer::GiveBack(const rd_kafka_topic_partition_list_t* list) {
  if (cooperative_) {
    for (const auto& partition : ToVector(list)) DropQueue(partition);
    return Check("unassign", ErrorHandle(rd_kafka_incremental_unassign(client_.get(), list)));
  }
  DropQueues();
  const auto error = rd_kafka_assign(client_.get(), nullptr);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Log(3, fmt::format("kafka: unassign: {}", rd_kafka_err2str(error)));
  }
}

void RdConsumer::Close(milliseconds timeout) {
  if (client_ == nullptr) return;
  if (share_) {
    GiveShare(Assignment(), false);
    share_.reset();
    return Free();
  }
  closing_ = true;
  // librdkafka before 2.3.0 aborts on closing a cooperative member that no rebalance has reached yet. It goes
  // as a killed one does: it has no partitions that others wait for.
  if (cooperative_ && !rebalanced_) return Free();
  auto left = timeout;
  // rd_kafka_consumer_close would wait without a limit; through a queue of our own we can give up.
  QueueHandle queue(rd_kafka_queue_new(client_.get()));
  const ErrorHandle error(rd_kafka_consumer_close_queue(client_.get(), queue.get()));
  while (error == nullptr && rd_kafka_consumer_closed(client_.get()) == 0 && left > milliseconds{0}) {
    const auto begin = steady_clock::now();
    const EventHandle event(
        rd_kafka_queue_poll(queue.get(), static_cast<int>(std::min(left, milliseconds{100}).count())));
    left -= std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
    if (event != nullptr) ServeClosing(event);
  }
  queue.reset();
  Free();
}

void RdConsumer::ServeClosing(const EventHandle& event) {
  if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_REBALANCE) return;
  OnRebalance(rd_kafka_event_error(event.get()), rd_kafka_event_topic_partition_list(event.get()));
}

void RdConsumer::WakeOn(rd_kafka_queue_t* queue, bool on) const {
  rd_kafka_queue_io_event_enable(queue, on ? signal_.fd() : -1, &WakeSignal::kOne,
                                 on ? sizeof(WakeSignal::kOne) : 0);
}

void RdConsumer::DropQueue(const TopicPartition& partition) {
  const auto queue = queues_.find(partition);
  if (queue == queues_.end()) return;
  WakeOn(queue->second.get(), false);
  queues_.erase(queue);
}

void RdConsumer::DropQueues() {
  for (const auto& [partition, queue] : queues_) WakeOn(queue.get(), false);
  queues_.clear();
}

void RdConsumer::Free() {
  DropQueues();
  if (main_queue_ != nullptr) WakeOn(main_queue_.get(), false);
  main_queue_.reset();
  // Without this flag destroying would close once more, and wait for it.
  rd_kafka_destroy_flags(client_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

}  // namespace

Result<std::unique_ptr<Consumer>> Consumer::Create(ConsumerOptions options, RebalanceListener* listener) {
  auto consumer = std::make_unique<RdConsumer>(std::move(options), listener);
  if (auto opened = consumer->Open(); !opened) return Fail(std::move(opened.error()));
  return consumer;
}

}  // namespace weir::kafka
