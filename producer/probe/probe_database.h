#pragma once

#include <memory>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/pg/session.h"

namespace weir::probe {

struct ProbeDatabase {
  std::unique_ptr<pg::Session>
      session;          // none: nothing runs here that could use an upstream at the same time
  bool asleep = false;  // there is a private database with a ledger, but it does not run
};

// The configured database, or the private one if it runs; starts and changes nothing. One that was never
// migrated is none: no worker can use it. Errors: kDatabase (configured and out of reach: whoever reaches it
// may be using the upstreams), kConfig (a schema this program does not know).
Result<ProbeDatabase> OpenProbeDatabase(const Config& config);

}  // namespace weir::probe
