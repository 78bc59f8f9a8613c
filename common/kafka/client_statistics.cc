#include "common/kafka/client_statistics.h"

#include <algorithm>
#include <charconv>

namespace weir::kafka {

ClientStatistics ReadStatistics(std::string_view json) {
  ClientStatistics read;
  // The top level's totals come last; brokers call theirs "rxbytes".
  constexpr std::string_view kBytes = "\"rx_bytes\":";
  if (const auto at = json.rfind(kBytes); at != std::string_view::npos) {
    auto digits = json.substr(at + kBytes.size());
    digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
    std::from_chars(digits.data(), digits.data() + digits.size(), read.bytes_received);
  }
  // Only brokers' states are in capitals (the group's is "up", partitions' "active").
  read.any_broker_up = json.find("\"state\":\"UP\"") != std::string_view::npos;
  return read;
}

}  // namespace weir::kafka
