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

constexpr std::string_view kStored = "\"stored_offset\":";

std::int64_t PartitionLag(std::string_view partition) {
  const std::int64_t stored = NumberAt(partition, kStored.size());
  const auto number = [&](std::string_view key) {
    const auto at = partition.find(key);
    return at == std::string_view::npos ? -1 : NumberAt(partition, at + key.size());
  };
  std::int64_t from = stored;
  if (from < 0) from = number("\"committed_offset\":");
  if (from < 0) from = number("\"lo_offset\":");
  return std::max<std::int64_t>(0, number("\"hi_offset\":") - std::max<std::int64_t>(0, from));
}

}  // namespace

ClientStatistics ReadStatistics(std::string_view json) {
  ClientStatistics read;
  // The top level's totals come last; brokers call theirs "rxbytes".
  constexpr std::string_view kBytes = "\"rx_bytes\":";
  if (const auto at = json.rfind(kBytes); at != std::string_view::npos) {
    read.bytes_received = NumberAt(json, at + kBytes.size());
  }
  // librdkafka's own lag is unknown until the first commit. Each partition has these four in this order;
  // negative = not known. A partition of which nothing was stored begins at its start.
  for (auto at = json.find(kStored); at != std::string_view::npos; at = json.find(kStored, at + 1)) {
    read.lag += PartitionLag(json.substr(at));
  }
  // Only brokers' states are in capitals (the group's is "up", partitions' "active").
  read.any_broker_up = json.find("\"state\":\"UP\"") != std::string_view::npos;
  return read;
}

}  // namespace weir::kafka
