#pragma once

#include <memory>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/pg/session.h"
#include "producer/cli/services.h"

namespace weir::probe {

struct ProbeDatabase {
  std::shared_ptr<void> hold;  // keeps the private one running
  // None: nothing runs here that could use an upstream at the same time.
  std::unique_ptr<pg::Session> session;
};

// The configured database, or the private one if it runs. With `lease`, a private one that is there is
// started when it does not run, since what the ledger knows is wanted; none is ever made. One that was never
// migrated is none: no worker can use it. Errors: kDatabase (configured and out of reach: whoever reaches it
// may be using the upstreams), kConfig (a schema this program does not know).
Result<ProbeDatabase> OpenProbeDatabase(const Config& config, const cli::LeaseDatabase& lease = {});

}  // namespace weir::probe
