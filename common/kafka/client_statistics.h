#pragma once

#include <cstdint>
#include <string_view>

namespace weir::kafka {

// What weir reads of librdkafka's statistics (its STATISTICS.md), by key and not by a parser: the text is
// librdkafka's own, about 100 KB a second with all partitions assigned, and a few numbers of it are wanted.
struct ClientStatistics {
  std::int64_t bytes_received = 0;  // top level "rx_bytes"
  std::int64_t lag = 0;             // messages behind what is stored, over all partitions; not yet known = 0
  bool any_broker_up = false;       // a broker's "state" is "UP"
};

ClientStatistics ReadStatistics(std::string_view json);

}  // namespace weir::kafka
