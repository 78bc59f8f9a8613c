#pragma once

#include <string>

#include "common/base/result.h"
#include "common/kafka/consumer.h"
#include "common/kafka/producer.h"
#include "common/ledger/tasks.h"

namespace weir::worker {

// The dead letter of a task: DESIGN §7's headers, all UTF-8 text, no secrets. `offset` names where its
// message stood.
kafka::OutgoingMessage TaskDeadLetter(const ledger::ClaimedTask& task, const Error& error,
                                      const kafka::TopicPartition& from, std::int64_t offset,
                                      const std::string& group);

// The dead letter of a message that could not be read: its original bytes and headers.
kafka::OutgoingMessage GarbageDeadLetter(const kafka::Message& message, const std::string& reason,
                                         const std::string& group);

}  // namespace weir::worker
