#pragma once

#include <memory>
#include <string>

#include "common/base/result.h"

namespace weir::kafka {

// A broker for one machine: librdkafka's mock cluster. It keeps nothing over a restart and forgets old
// messages (5 MiB a partition); the ledger is the truth (DESIGN §7). Lives in a process of its own, see
// producer/embedded.
class EmbeddedBroker {
 public:
  // Starts it with weir's topics on a random loopback port and writes its bootstrap list to `address_file`
  // (atomically). Errors: kBroker.
  static Result<std::unique_ptr<EmbeddedBroker>> Start(const std::string& address_file);
  virtual ~EmbeddedBroker() = default;
  virtual std::string Brokers() const = 0;
};

}  // namespace weir::kafka
