#include "common/kafka/client_options.h"

#include <array>
#include <fstream>

namespace weir::kafka {

namespace {

constexpr std::string_view kFile = "file:";

}  // namespace

std::string AddressFileOf(const ClientOptions& options) {
  return OnEmbeddedBroker(options) ? options.brokers.substr(kFile.size()) : std::string();
}

std::string ResolveBrokers(const std::string& brokers) {
  if (!brokers.starts_with(kFile)) return brokers;
  std::ifstream in(brokers.substr(kFile.size()), std::ios::binary);
  std::array<char, 4096> bytes;
  in.read(bytes.data(), bytes.size());
  const std::string text(bytes.data(), static_cast<std::size_t>(in.gcount()));
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

Topics TopicsOf(const ClientOptions& options) {
  if (OnEmbeddedBroker(options)) return {};
  const auto named = [&](const char* name) { return options.topic_prefix + name; };
  return {named(kTaskTopic), named(kInteractiveTopic), named(kDeadLetterTopic), named(kWorkerGroup)};
}

}  // namespace weir::kafka
