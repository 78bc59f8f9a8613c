#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "common/access/renewal.h"
#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/config/account_settings.h"
#include "common/config/config.h"
#include "common/http/fetcher.h"
#include "common/pg/session.h"
#include "common/sources/source.h"

namespace weir {

// What a renewal stands on. Lives as long as the call; one thread.
struct RenewalParts {
  const Config* config = nullptr;
  const Clock* clock = nullptr;
  Fetcher* fetcher = nullptr;
  // Calls what it is given with a session. A renewal has one for the length of a statement, and none while
  // the upstream is asked: others wait for sessions.
  std::function<Result<void>(const std::function<Result<void>(pg::Session&)>&)> with_session;
  // Until a database that is away is asked again.
  std::function<void(std::chrono::milliseconds)> rest = [](std::chrono::milliseconds time) {
    std::this_thread::sleep_for(time);
  };
};

// The access token of an account whose source renews them: the stored one, or, when there is none, it is
// about to expire, or it is the one of generation `refused`, a new one for the stored (at first: the
// configured) refresh token. A refresh token is good once, so that one attempt at a time sends it, over all
// processes. Errors: kAuth when the upstream refuses the refresh token (the account must be authorised again:
// a new refresh token in weir.yaml is taken up by itself) or the client, or when answers told nothing too
// often; kStopped with retry_after while another process renews, or nobody may yet; kThrottled, kTransient
// with retry_after when it may be tried again; kConfig, kDatabase.
Result<AccessToken> HaveAccessToken(const RenewalParts& parts, const Source& source,
                                    const AccountSettings& account, std::optional<std::int64_t> refused);

}  // namespace weir
