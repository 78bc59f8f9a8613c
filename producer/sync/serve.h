#pragma once

#include <functional>

#include "common/base/clock.h"
#include "common/config/config.h"
#include "producer/embedded/local_services.h"

namespace weir {

struct ServeCallbacks {
  SayProgress say = [](const std::string&) {};
  // Waits up to `timeout`; the signal that asks to stop, 0 = none yet.
  std::function<int(std::chrono::milliseconds timeout)> wait_stop;
};

// `weir serve`: dispatches and coordinates until it is asked to stop, or stands by while another one leads.
// Answers /livez, /readyz and /metrics on metrics.address, and the control API (producer/api) on api.address.
// Returns the signal. Errors: those of the parts at
// the start.
Result<int> Serve(const Config& config, const ServeCallbacks& callbacks, const Clock& clock);

}  // namespace weir
