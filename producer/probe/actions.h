#pragma once

#include "producer/cli/command.h"
#include "producer/probe/lane_turn.h"

namespace weir::probe {

// Sets the commands that ask an upstream themselves: plan, check, preview. They write nothing but the lease
// of the lane that they ask on. `lease` wakes the private database for plan, which wants to know what was
// synced; nothing else is started. `patience`: how long they wait for a lane.
void AddProbeActions(cli::Actions& actions, cli::LeaseDatabase lease,
                     std::chrono::milliseconds patience = LaneTurnOptions{}.patience);

}  // namespace weir::probe
