#pragma once

#include "common/kafka/rdkafka_handles.h"

namespace weir::kafka {

// For members of a group on the embedded broker: the one that is elected leader waits a moment before it
// sends everyone's assignments. librdkafka's mock cluster (2.0.2 as 2.8.0) takes a group for complete once it
// has these, although another member may not have asked for its own yet; that one is then refused, and the
// whole group joins anew, which takes the mock cluster another session timeout less a second.
void PauseLeader(rd_kafka_conf_t* conf);

}  // namespace weir::kafka
