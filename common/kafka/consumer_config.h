#pragma once

#include "common/base/result.h"
#include "common/kafka/client_config.h"
#include "common/kafka/consumer.h"

namespace weir::kafka {

// Whether the partitions are shared out cooperatively; `version` is rd_kafka_version()'s. The embedded
// broker's have no group (docs/adr/0009).
bool IsCooperative(const ConsumerOptions& options, int version);

// How weir's consumers are set up: bounded prefetch, offsets stored by hand and committed by librdkafka.
// Errors: kConfig (a session timeout with which no group can be joined).
Result<ClientConfig> MakeConsumerConfig(const ConsumerOptions& options);

}  // namespace weir::kafka
