#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/config/account_settings.h"
#include "common/config/config.h"
#include "common/http/fetcher.h"
#include "common/pg/session.h"
#include "common/sources/source.h"

namespace weir {

struct AccessToken {
  Secret token;
  std::int64_t generation = 0;  // counts the account's renewals
};

// What a renewal stands on. Lives as long as the call; one thread.
struct RenewalParts {
  const Config* config = nullptr;
  const Clock* clock = nullptr;
  Fetcher* fetcher = nullptr;
  pg::Session* session = nullptr;  // held while the upstream is asked
  // Until a database that is away is asked again.
  std::function<void(std::chrono::milliseconds)> rest = [](std::chrono::milliseconds time) {
    std::this_thread::sleep_for(time);
  };
};

// The access token of an account whose source renews them: the stored one, or, when there is none, it is
// about to expire, or it is the one of generation `refused`, a new one for the stored (at first: the
// configured) refresh token. A refresh token is good once, so that it is marked as spent before it is sent,
// and one process at a time sends one. Errors: kAuth when the answer of a renewal was lost or the refresh
// token is refused (the account must be authorised again: a new refresh token in weir.yaml is taken up by
// itself); kStopped while another process renews, or may still; kThrottled, kTransient when the refresh token
// is surely unspent; kConfig, kDatabase.
Result<AccessToken> HaveAccessToken(const RenewalParts& parts, const Source& source,
                                    const AccountSettings& account, std::optional<std::int64_t> refused);

}  // namespace weir
