#include "common/kafka/client_statistics.h"

#include <algorithm>
#include <charconv>

namespace weir::kafka {

namespace {

std::int64_t NumberAt(std::string_view json, std::size_t at) {
  auto digits = json.substr(at);
  digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

ClientStatistics ReadStatistics(std::string_view json) {
  ClientStatistics read;
  // The top level's totals come last; brokers call theirs "rxbytes".
  constexpr std::string_view kBytes = "\"rx_bytes\":";
  if (const auto at = json.rfind(kBytes); at != std::string_view::npos) {
    read.bytes_received = NumberAt(json, at + kBytes.size());
  }
  // -1 = not yet known. The partition's own, not what is committed: a commit comes up to a second later.
  constexpr std::string_view kLag = "\"consumer_lag_stored\":";
  for (auto at = json.find(kLag); at != std::string_view::npos; at = json.find(kLag, at + 1)) {
    read.lag += std::max<std::int64_t>(0, NumberAt(json, at + kLag.size()));
  }
  // Only brokers' states are in capitals (the group's is "up", partitions' "active").
  read.any_broker_up = json.find("\"state\":\"UP\"") != std::string_view::npos;
  return read;
}

}  // namespace weir::kafka
