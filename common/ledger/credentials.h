#pragma once

// Access tokens that are renewed by single-use refresh tokens, encrypted at rest (weir.credentials). What is
// sealed is opaque here.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

struct Credential {
  enum class State {
    kReady,     // `sealed` holds a good access token and an unspent refresh token
    kSpending,  // the refresh token is on its way; who sent it held the renewal lock
    kLost,      // it was spent and its answer never heard, or refused: only a new authorisation helps
  } state = State::kReady;
  std::string seed;  // fingerprint of the configured refresh token that this came from
  std::int64_t generation = 0;
  std::string sealed;  // "" = the configured refresh token was not yet spent
  std::chrono::milliseconds expires_in{0};
  std::chrono::milliseconds age{0};  // since its state was last set
};

// The account's credential; nothing when it never had one.
Result<std::optional<Credential>> LoadCredential(pg::Session& session, const std::string& source,
                                                 const std::string& account);

// One renewal of an account at a time, over all processes: an advisory lock of the session, which ends with
// its process. False = another one renews.
Result<bool> LockRenewal(pg::Session& session, const std::string& source, const std::string& account);
void UnlockRenewal(pg::Session& session, const std::string& source, const std::string& account);

// Writes under the lock, each durable when it returns.
Result<void> MarkCredential(pg::Session& session, const std::string& source, const std::string& account,
                            const std::string& seed, Credential::State state);
// The next generation, ready; returns its number.
Result<std::int64_t> SaveCredential(pg::Session& session, const std::string& source,
                                    const std::string& account, const std::string& seed,
                                    const std::string& sealed, std::chrono::milliseconds lives);

}  // namespace weir::ledger
