#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/kafka/client_options.h"
#include "common/kafka/client_trouble.h"
#include "common/kafka/line_limiter.h"
#include "common/kafka/rdkafka_handles.h"

namespace weir::kafka {

using Properties = std::vector<std::pair<std::string, std::string>>;

// What every client of librdkafka has: the opaque its callbacks get. Must outlive the handle.
struct ClientContext {
  std::function<void(int, std::string_view)> log;
  ClientTrouble trouble;
  LineLimiter lines;
  // For librdkafka's lines and our own; a line that repeats is said once a minute. Any thread.
  void Log(int level, std::string_view text);
};

// What a client is made with: weir's `defaults`, over them the user's properties, over all `fixed`.
struct ClientConfig {
  Properties defaults;
  Properties optional_defaults;  // left out where this librdkafka does not know them
  Properties fixed;              // what weir relies on; every name is also in IsReserved
};

// True for the properties that users may not set, since weir's own depend on them.
bool IsReserved(std::string_view property);

// The configuration, with context as opaque and its log. Errors: kConfig naming the property, never its
// value.
Result<ConfHandle> MakeConf(const ClientOptions& options, const std::string& brokers,
                            const ClientConfig& config, ClientContext* context);

// The client itself; `conf` is used up. Errors: kConfig with librdkafka's reason.
Result<ClientHandle> MakeClient(rd_kafka_type_t type, ConfHandle conf);

// ResolveBrokers, or kBroker while there is no address.
Result<std::string> RequireBrokers(const ClientOptions& options);

// What tells one embedded broker from the next one, whose address file has the same name: the bootstrap list
// and when the file was written.
std::string BrokerIdentity(const ClientOptions& options, const std::string& brokers);

// True when `brokers` now resolves to other text than `used`; an unreadable file is no change.
bool Moved(const std::string& brokers, const std::string& used);

}  // namespace weir::kafka
