#include "producer/engine/dead_letter_sender.h"

#include "common/base/json_text.h"
#include "common/kafka/dead_letter.h"
#include "common/ledger/garbage.h"

namespace weir {
namespace {

constexpr int kBatch = 500;
constexpr int kGarbageBatch = 32;  // of up to 300 KiB each, in the leader's memory
constexpr std::chrono::seconds kSendTimeout{3};

Error Refused() {
  return MakeError(ErrorClass::kBroker, "Kafka acknowledged none of the dead letters", "see: weir doctor");
}

kafka::OutgoingMessage MessageOf(ledger::GarbageLetter letter, const kafka::Topics& topics) {
  ledger::RawMessage& message = letter.message;
  std::vector<kafka::Header> headers;
  for (auto& [name, value] : message.headers) headers.push_back({std::move(name), std::move(value)});
  return {topics.dead_letters, std::move(message.key), std::move(message.value),
          kafka::DeadLetterHeaders(std::move(headers), {.from = {message.topic, message.partition},
                                                        .offset = message.offset,
                                                        .group = topics.group,
                                                        .message = letter.reason,
                                                        .kind = "garbage"})};
}

kafka::OutgoingMessage MessageOf(const ledger::DeadLetter& letter, const kafka::Topics& topics) {
  const ledger::ReadyTask& task = letter.task;
  kafka::DeadLetterFacts facts;
  facts.from = {letter.topic, letter.partition};
  facts.offset = letter.offset;
  if (letter.topic.empty()) facts.from.topic = task.interactive ? topics.interactive : topics.tasks;
  facts.group = topics.group;
  facts.deliveries = letter.deliveries;
  facts.message = letter.error;
  facts.kind = "task";
  kafka::OutgoingMessage out;
  out.topic = topics.dead_letters;
  out.key = task.lane.Text();
  out.value = letter.message;
  out.headers = kafka::DeadLetterHeaders({{"traceparent", task.traceparent}}, facts);
  out.headers.push_back({"weir-job", std::to_string(task.job.value)});
  out.headers.push_back({"weir-task", std::to_string(task.id.value)});
  out.headers.push_back({"weir-source", task.source});
  out.headers.push_back({"weir-stream", task.stream});
  out.headers.push_back({"weir-account", Printable(task.account)});
  out.headers.push_back({"weir-page", Printable(Describe(task.selector))});
  out.headers.push_back({"weir-attempts", std::to_string(letter.attempts)});
  out.headers.push_back({"weir-error-class", letter.error_class});
  if (letter.http_status != 0)
    out.headers.push_back({"weir-http-status", std::to_string(letter.http_status)});
  return out;
}

}  // namespace

Result<std::int64_t> DeadLetterSender::RunOnce() {
  auto tasks = SendTasks();
  auto garbage = SendGarbage();
  if (!tasks) return tasks;
  if (!garbage) return garbage;
  return *tasks + *garbage;
}

Result<std::int64_t> DeadLetterSender::SendGarbage() {
  auto due = ledger::GarbageLettersDue(session_, kGarbageBatch);
  if (!due) return Fail(due.error());
  if (due->empty()) return 0;
  std::vector<kafka::OutgoingMessage> messages;
  for (ledger::GarbageLetter& letter : *due) messages.push_back(MessageOf(std::move(letter), topics_));
  auto acknowledged = publisher_.Send(messages, kSendTimeout);
  if (!acknowledged) return Fail(acknowledged.error());
  std::vector<std::int64_t> sent;
  for (std::size_t i = 0; i < due->size(); ++i) {
    if ((*acknowledged)[i]) sent.push_back((*due)[i].id);
  }
  if (sent.empty()) return Fail(Refused());
  if (auto marked = ledger::MarkGarbageLettersSent(session_, sent); !marked) return Fail(marked.error());
  return static_cast<std::int64_t>(sent.size());
}

Result<std::int64_t> DeadLetterSender::SendTasks() {
  auto due = ledger::LettersDue(session_, kBatch);
  if (!due) return Fail(due.error());
  if (due->empty()) return 0;
  std::vector<kafka::OutgoingMessage> messages;
  messages.reserve(due->size());
  for (const ledger::DeadLetter& letter : *due) messages.push_back(MessageOf(letter, topics_));
  auto acknowledged = publisher_.Send(messages, kSendTimeout);
  if (!acknowledged) return Fail(acknowledged.error());
  std::vector<ledger::SentTask> sent;
  for (std::size_t i = 0; i < due->size(); ++i) {
    if ((*acknowledged)[i]) sent.push_back({(*due)[i].task.id, (*due)[i].task.epoch});
  }
  if (sent.empty()) {
    return Fail(Refused());
  }
  if (auto marked = ledger::MarkLettersSent(session_, sent); !marked) return Fail(marked.error());
  return static_cast<std::int64_t>(sent.size());
}

}  // namespace weir
