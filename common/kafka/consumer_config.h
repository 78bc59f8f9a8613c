#pragma once

#include "common/base/result.h"
#include "common/kafka/client_config.h"
#include "common/kafka/consumer.h"

namespace weir::kafka {

// How weir's consumers are set up: bounded prefetch, the range assignor, offsets stored by hand and committed
// by librdkafka. Errors: kConfig (a session timeout with which no group can be joined).
Result<ClientConfig> MakeConsumerConfig(const ConsumerOptions& options);

}  // namespace weir::kafka
