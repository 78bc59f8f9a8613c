#include "worker/dead_letter.h"

#include "common/base/json_text.h"
#include "proto/dead_letter.pb.h"

namespace weir::worker {
namespace {

std::vector<kafka::Header> ErrorHeaders(const kafka::TopicPartition& from, std::int64_t offset,
                                        const std::string& group, int deliveries, const std::string& message,
                                        const std::string& kind) {
  return {
      {"__dlq.errors.topic", from.topic},
      {"__dlq.errors.partition", std::to_string(from.partition)},
      {"__dlq.errors.offset", std::to_string(offset)},
      {"__dlq.errors.group", group},
      {"__dlq.errors.delivery.count", std::to_string(deliveries)},
      {"__dlq.errors.message", Printable(message)},
      {"weir-kind", kind},
  };
}

}  // namespace

kafka::OutgoingMessage TaskDeadLetter(const ledger::ClaimedTask& task, const Error& error,
                                      const kafka::TopicPartition& from, std::int64_t offset,
                                      const std::string& group) {
  wire::DeadLetter letter;
  letter.set_schema_version(1);
  letter.set_job_id(task.job.value);
  letter.set_task_id(task.id.value);
  letter.set_error_class(std::string(ToString(error.error_class)));
  letter.set_http_status(error.http_status);
  letter.set_attempts(task.attempts + 1);
  letter.set_message(Printable(error.message));
  kafka::OutgoingMessage out;
  out.topic = kafka::kDeadLetterTopic;
  out.key = task.lane.Text();
  out.value = letter.SerializeAsString();
  out.headers = ErrorHeaders(from, offset, group, task.attempts + 1, error.message, "task");
  out.headers.push_back({"weir-job", std::to_string(task.job.value)});
  out.headers.push_back({"weir-task", std::to_string(task.id.value)});
  out.headers.push_back({"weir-source", task.source});
  out.headers.push_back({"weir-stream", task.stream});
  out.headers.push_back({"weir-error-class", std::string(ToString(error.error_class))});
  out.headers.push_back({"traceparent", task.traceparent});
  return out;
}

kafka::OutgoingMessage GarbageDeadLetter(const kafka::Message& message, const std::string& reason,
                                         const std::string& group) {
  kafka::OutgoingMessage out;
  out.topic = kafka::kDeadLetterTopic;
  out.key = message.key;
  out.value = message.value;
  out.headers = message.headers;
  for (auto& header : ErrorHeaders(message.from, message.offset, group, 1, reason, "garbage")) {
    out.headers.push_back(std::move(header));
  }
  return out;
}

}  // namespace weir::worker
