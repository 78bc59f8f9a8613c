#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "common/kafka/consumer.h"

namespace weir::e2e {

// Reads the topic of dead letters from its beginning until there are `count`, as anyone who watches it would;
// fails the test if they do not come.
std::vector<kafka::Message> ReadDeadLetters(const kafka::ClientOptions& kafka, std::size_t count);

std::map<std::string, std::string> HeadersOf(const kafka::Message& message);

}  // namespace weir::e2e
