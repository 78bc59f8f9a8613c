#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/kafka/consumer.h"
#include "common/ledger/task_message.h"

namespace weir::worker {

// A task's message as it came, until its offset may be stored.
struct Delivery {
  ledger::TaskMessage message;
  std::string value;  // its bytes, for a dead letter
  kafka::TopicPartition from;
  std::int64_t offset = 0;
  std::uint64_t assignment =
      0;  // which assignment of the partition it came in; an older one's offsets mean nothing
  bool interactive = false;
  Epoch claimed{};            // by this worker, who could not write down what became of it; 0 = not, or ended
  int returns = 0;            // times it went back to its lane because the database was ill
  std::int64_t requests = 0;  // known to have been sent for the task, where its row does not say so yet
  bool alone = false;  // a suspect's last try: nothing else may run in this process (ledger::ClaimResult)
};

}  // namespace weir::worker
