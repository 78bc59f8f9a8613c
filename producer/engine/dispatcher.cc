#include "producer/engine/dispatcher.h"

#include "common/ledger/task_message.h"
#include "common/obs/log.h"

namespace weir {
namespace {

// Shorter than the lanes' window, so that a sick broker does not keep the coordinator from ending jobs for
// long.
constexpr std::chrono::seconds kSendTimeout{3};

kafka::OutgoingMessage MessageOf(const ledger::ReadyTask& task, const kafka::Topics& topics) {
  kafka::OutgoingMessage message;
  message.topic = task.interactive ? topics.interactive : topics.tasks;
  message.key = task.lane.Text();
  message.value = ledger::EncodeTask(task);
  message.headers = {{"traceparent", task.traceparent}};
  return message;
}

}  // namespace

Result<Dispatcher::Pass> Dispatcher::RunOnce() {
  distrusted_ |= publisher_.TakeMoved();
  if (distrusted_) {
    auto back = ledger::RequeueSent(session_);
    if (!back) return Fail(back.error());
    distrusted_ = false;
    if (*back > 0)
      Log(LogLevel::kInfo, "the broker is another one: tasks are sent again", {{"tasks", *back}});
  }
  auto ready = ledger::TakeReady(session_, limits_);
  if (!ready) return Fail(ready.error());
  Pass pass;
  if (ready->empty()) return pass;
  std::vector<kafka::OutgoingMessage> messages;
  messages.reserve(ready->size());
  for (const ledger::ReadyTask& task : *ready) messages.push_back(MessageOf(task, topics_));
  const auto before = clock_.Boot();
  auto acknowledged = publisher_.Send(messages, kSendTimeout);
  pass.in_kafka = clock_.Boot() - before;
  if (!acknowledged) return Fail(acknowledged.error());
  std::vector<ledger::SentTask> sent;
  for (std::size_t i = 0; i < ready->size(); ++i) {
    if ((*acknowledged)[i]) sent.push_back({(*ready)[i].id, (*ready)[i].epoch});
  }
  if (sent.empty())
    return Fail(ErrorClass::kBroker, "Kafka acknowledged none of the messages", "see: weir doctor");
  auto marked = ledger::MarkDispatched(session_, sent);
  if (!marked) return Fail(marked.error());
  pass.sent = static_cast<std::int64_t>(sent.size());
  pass.more = sent.size() == ready->size() && ready->size() >= static_cast<std::size_t>(limits_.batch);
  return pass;
}

}  // namespace weir
