#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/config/account_settings.h"
#include "common/config/config.h"
#include "common/fetch/page_answer.h"
#include "common/http/fetcher.h"
#include "common/pg/session.h"
#include "common/sources/source.h"
#include "producer/probe/lane_turn.h"

namespace weir::probe {

// The requests that the command line sends itself, each in its lane's turn. What it plans by is the
// database's time, as a worker's, or without a database the upstream's; this machine's clock may be wrong.
// One thread.
class Prober {
 public:
  // `session`: as OpenProbeDatabase's, may be null. All outlive it.
  Prober(const Config& config, pg::Session* session, LaneTurnOptions options, LaneTurn::Callbacks callbacks,
         const Clock& clock);

  // Asks for the task's page and waits for its answer. An answer that is an error is one here too.
  Result<void> Ask(const Source& source, const AccountSettings& account, const PageRequest& page,
                   PageAnswer& answer);
  // What kDiscover's request is answered, and the time that it is planned by. The context's own time does not
  // count.
  struct Discovered {
    std::string document;
    std::int64_t now_ms = 0;
  };
  Result<Discovered> Discover(const Source& source, const AccountSettings& account,
                              const TaskContext& context);

  // Until the last answer's first byte; nothing when none came.
  std::optional<std::chrono::milliseconds> RoundTrip() const { return fetcher_.LastStats().first_byte; }

 private:
  Result<std::int64_t> Now();
  Result<AccountSettings> WithToken(const Source& source, const AccountSettings& account);

  const Config& config_;
  pg::Session* const session_;
  const Clock& clock_;
  Fetcher fetcher_;
  LaneTurn turn_;
};

// A task that asks what there is.
TaskContext DiscoverContext(const AccountSettings& account, const std::string& stream);

}  // namespace weir::probe
