#include "common/kafka/producer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "common/kafka/client_config.h"
#include "common/kafka/clock_watch.h"

namespace weir::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

ClientConfig ProducerConfig() {
  ClientConfig config;
  config.defaults = {
      // A consumer gets whole batches: their size bounds a worker's memory (DESIGN §7).
      {"batch.num.messages", "16"},
      {"batch.size", "16384"},
      {"linger.ms", "5"},
      {"queue.buffering.max.messages", "10000"},
      {"queue.buffering.max.kbytes", "32768"},
      {"compression.type", "none"},
  };
  config.fixed = {
      {"enable.idempotence", "true"},
      {"acks", "all"},
      {"partitioner", "murmur2_random"},
      // The longest a message waits inside; Send's own deadline, as a rule shorter, takes it back before.
      {"message.timeout.ms", "300000"},
  };
  return config;
}

const char* TopicOf(const rd_kafka_message_t& message) {
  return message.rkt == nullptr ? "" : rd_kafka_topic_name(message.rkt);
}

class RdProducer final : public Producer, private ClientContext {
 public:
  explicit RdProducer(ClientOptions options) : options_(std::move(options)) { log = options_.log; }

  ~RdProducer() override {
    if (client_ != nullptr) rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  }

  Result<void> Open() {
    auto brokers = RequireBrokers(options_);
    if (!brokers) return Fail(std::move(brokers.error()));
    brokers_ = std::move(*brokers);
    return Connect();
  }

  Result<std::vector<bool>> Send(const std::vector<OutgoingMessage>& messages, milliseconds timeout) override;
  bool AddressChanged() const override { return Moved(options_.brokers, brokers_); }

 private:
  Result<void> Connect() {
    auto conf = MakeConf(options_, brokers_, ProducerConfig(), this);
    if (!conf) return Fail(std::move(conf.error()));
    rd_kafka_conf_set_dr_msg_cb(conf->get(), [](rd_kafka_t*, const rd_kafka_message_t* report, void* opaque) {
      static_cast<RdProducer*>(static_cast<ClientContext*>(opaque))->OnReport(*report);
    });
    rd_kafka_conf_set_error_cb(conf->get(), [](rd_kafka_t*, int error, const char* reason, void* opaque) {
      static_cast<RdProducer*>(static_cast<ClientContext*>(opaque))
          ->OnError(static_cast<rd_kafka_resp_err_t>(error), reason);
    });
    auto client = MakeClient(RD_KAFKA_PRODUCER, std::move(*conf));
    if (!client) return Fail(std::move(client.error()));
    client_ = std::move(*client);
    (void)clock_.SetBack();  // from here on
    return {};
  }

  void Meet(const std::string& topic, steady_clock::time_point deadline);
  // One message into librdkafka's queue, waiting for room until `deadline`. False: it is not there.
  bool Enqueue(const OutgoingMessage& message, std::uintptr_t token, steady_clock::time_point deadline);
  rd_kafka_resp_err_t Produce(const OutgoingMessage& message, std::uintptr_t token);
  void Await(steady_clock::time_point deadline);
  // What was acknowledged; why nothing was, where that is known.
  Result<std::vector<bool>> Outcome();
  void DropClient();
  void OnReport(const rd_kafka_message_t& report);
  void OnError(rd_kafka_resp_err_t error, const char* reason);

  const ClientOptions options_;
  std::string brokers_;
  ClientHandle client_;  // null after a purge
  ClockWatch clock_;
  // A message's opaque is a number, not a pointer: a report that comes after its call has ended hits nothing.
  std::uintptr_t next_token_ = 1;
  std::uintptr_t first_token_ = 1;  // of the running call
  std::vector<bool> acknowledged_;  // of the running call
  std::size_t outstanding_ = 0;     // reports it waits for
  std::set<std::string> met_;       // topics whose partitions it knows
};

Result<std::vector<bool>> RdProducer::Send(const std::vector<OutgoingMessage>& messages,
                                           milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  if (clock_.SetBack()) DropClient();
  if (client_ == nullptr) {
    if (auto connected = Connect(); !connected) return Fail(connected.error());
  }
  first_token_ = next_token_;
  next_token_ += messages.size();
  acknowledged_.assign(messages.size(), false);
  outstanding_ = 0;
  for (const OutgoingMessage& message : messages) Meet(message.topic, deadline);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (Enqueue(messages[i], first_token_ + i, deadline)) ++outstanding_;
  }
  Await(deadline);
  if (outstanding_ > 0) {
    // None may stay inside: what the caller takes for unsent would be sent besides what it sends again.
    rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    Await(steady_clock::now() + std::chrono::seconds(5));
    // An idempotent producer numbers its messages. Once some in flight were purged, librdkafka (2.0.2) may
    // wait for their numbers for ever, and acknowledges nothing any more when the broker is back: the next
    // Send makes a new client.
    DropClient();
    return Outcome();
  }
  std::array<char, 512> reason{};
  const auto fatal = rd_kafka_fatal_error(client_.get(), reason.data(), reason.size());
  if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Fail(ErrorClass::kBroker, fmt::format("the Kafka producer failed for good: {}", reason.data()));
  }
  return Outcome();
}

Result<std::vector<bool>> RdProducer::Outcome() {
  const bool any = std::find(acknowledged_.begin(), acknowledged_.end(), true) != acknowledged_.end();
  const auto known = any ? std::nullopt : trouble.Now();
  if (known) return Fail(*known);
  return acknowledged_;
}

// Asks for a topic's partitions before its first message. A message produced while the connection is still
// being made waits for librdkafka's next look at its topics, which comes once a second. Without an answer the
// message just waits.
void RdProducer::Meet(const std::string& topic, steady_clock::time_point deadline) {
  if (met_.contains(topic)) return;
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
  if (left <= milliseconds{0}) return;
  const TopicHandle handle(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
  if (handle == nullptr) return;
  const rd_kafka_metadata_t* answer = nullptr;
  const auto error =
      rd_kafka_metadata(client_.get(), 0, handle.get(), &answer, static_cast<int>(left.count()));
  const MetadataHandle freed(answer);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) met_.insert(topic);
}

void RdProducer::DropClient() {
  client_.reset();
  met_.clear();
}

bool RdProducer::Enqueue(const OutgoingMessage& message, std::uintptr_t token,
                         steady_clock::time_point deadline) {
  for (;;) {
    const auto error = Produce(message, token);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || steady_clock::now() >= deadline) {
      Log(4, fmt::format("kafka: not sent to {}: {}", message.topic, rd_kafka_err2str(error)));
      return false;
    }
    rd_kafka_poll(client_.get(), 50);
  }
}

rd_kafka_resp_err_t RdProducer::Produce(const OutgoingMessage& message, std::uintptr_t token) {
  HeadersHandle headers(rd_kafka_headers_new(message.headers.size()));
  for (const auto& header : message.headers) {
    rd_kafka_header_add(headers.get(), header.name.data(), static_cast<ssize_t>(header.name.size()),
                        header.value.data(), static_cast<ssize_t>(header.value.size()));
  }
  // No key (and not an empty one, which would always be the same partition): any partition.
  const void* key = message.key.empty() ? nullptr : message.key.data();
  const auto error = rd_kafka_producev(
      client_.get(), RD_KAFKA_V_TOPIC(message.topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_KEY(key, message.key.size()),
      RD_KAFKA_V_VALUE(const_cast<char*>(message.value.data()), message.value.size()),
      RD_KAFKA_V_HEADERS(headers.get()), RD_KAFKA_V_OPAQUE(reinterpret_cast<void*>(token)), RD_KAFKA_V_END);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) static_cast<void>(headers.release());  // librdkafka's now
  return error;
}

void RdProducer::Await(steady_clock::time_point deadline) {
  while (outstanding_ > 0) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    if (left <= milliseconds{0}) return;
    rd_kafka_poll(client_.get(), static_cast<int>(std::min(left, milliseconds{1'000}).count()));
    if (rd_kafka_fatal_error(client_.get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  }
}

void RdProducer::OnReport(const rd_kafka_message_t& report) {
  const auto token = reinterpret_cast<std::uintptr_t>(report._private);
  const std::uintptr_t index = token - first_token_;
  if (token < first_token_ || index >= acknowledged_.size()) return;
  // Reports come inside rd_kafka_poll, also while Send still enqueues: what it has not counted yet is counted
  // when Produce returns, which is before the next poll.
  --outstanding_;
  if (report.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    acknowledged_[index] = true;
    trouble.Clear();
  } else {
    trouble.Note(report.err, fmt::format("{}: {}", TopicOf(report), rd_kafka_err2str(report.err)), brokers_);
    Log(4, fmt::format("kafka: not acknowledged: {}", rd_kafka_err2str(report.err)));
  }
}

void RdProducer::OnError(rd_kafka_resp_err_t error, const char* reason) {
  trouble.Note(error, reason, brokers_);
  Log(4, fmt::format("kafka: {}: {}", rd_kafka_err2name(error), reason));
}

}  // namespace

Result<std::unique_ptr<Producer>> Producer::Create(ClientOptions options) {
  auto producer = std::make_unique<RdProducer>(std::move(options));
  if (auto opened = producer->Open(); !opened) return Fail(std::move(opened.error()));
  return producer;
}

}  // namespace weir::kafka
