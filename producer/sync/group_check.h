#pragma once

#include <chrono>
#include <optional>
#include <utility>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/kafka/client_options.h"

namespace weir {

// Now and then, while no worker takes what there is: whether Kafka keeps this user out of the workers' group.
// Workers that it keeps out say so in their own logs only. One thread.
class GroupCheck {
 public:
  // `clock` outlives it.
  GroupCheck(kafka::ClientOptions client, const Clock& clock) : client_(std::move(client)), clock_(clock) {}

  // What keeps them out. Nothing also when it was asked less than half a minute ago, or Kafka does not answer
  // within three seconds: others say that.
  std::optional<Error> Look();

 private:
  const kafka::ClientOptions client_;
  const Clock& clock_;
  std::chrono::milliseconds next_{0};
};

}  // namespace weir
