#pragma once

#include <vector>

#include "producer/cli/command.h"
#include "producer/cli/services.h"

namespace weir {

// Sets the commands that need database, broker and workers: sync, enqueue, serve, up, down.
void AddSyncActions(cli::Actions& actions);

// `supervise` and `broker`: what the background processes of this program run (producer/embedded). Not for
// users.
std::vector<cli::CommandEntry> BackgroundCommands();

// The private PostgreSQL by way of the supervisor, so that a look at a job does not stop it under a sync.
Result<cli::DatabaseLease> LeaseSupervisedDatabase(const Config& config);

}  // namespace weir
