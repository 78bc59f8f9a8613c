#pragma once

#include <chrono>
#include <string>

#include "common/base/result.h"

namespace weir::kafka {

// Tells the embedded broker at `brokers` ("file:PATH") that a member of `group` is gone for good, so that its
// partitions go to the others at once and not when its session times out. librdkafka can only say so of
// itself; this is the one request that does. A member or a group that it does not know (any more) is no
// error. For who has seen the member's process end: one that lives would have to join anew. Waits up to
// `timeout` for connecting and for the answer, each. Errors: kBroker.
Result<void> LeaveGroupFor(const std::string& brokers, const std::string& group, const std::string& member,
                           std::chrono::milliseconds timeout);

}  // namespace weir::kafka
