#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/base/result.h"

namespace weir {

// What the supervisor says it runs (run/endpoints.json). A part that is not there (yet) is "".
struct Endpoints {
  pid_t supervisor = 0;
  std::string database_url;
  std::string brokers;  // as Config::kafka_brokers: "file:…"
  // Why a part that was wanted cannot be had. Written before the part's mark is removed: to whoever made the
  // mark and does not find it any more, this is the answer.
  std::string error, hint;
  friend bool operator==(const Endpoints&, const Endpoints&) = default;
};

// Atomically: who reads sees all of it or what was there before.
Result<void> WriteEndpoints(const std::string& path, const Endpoints& endpoints);
// Nothing when the file is not there or cannot be read.
std::optional<Endpoints> ReadEndpoints(const std::string& path);

}  // namespace weir
