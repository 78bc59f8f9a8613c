#pragma once

// Access tokens that are renewed by single-use refresh tokens, encrypted at rest (weir.credentials). What is
// sealed is opaque here. One attempt at a time may spend an account's refresh token. Which one is in the row,
// so that no session is held while the upstream is asked.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/pg/session.h"

namespace weir::ledger {

// Whose credential, and of which authorisation: what came from another one is of no use.
struct CredentialKey {
  std::string source;
  std::string account;  // weir.accounts.key
  std::string seed;     // fingerprint of the configured refresh token
};

struct Credential {
  enum class State {
    kReady,     // `sealed`, if there is any, holds a good access token and an unspent refresh token
    kSpending,  // an attempt may have sent the refresh token
    kUnknown,   // it was sent, and no answer told what became of it
    kLost,      // the upstream says that it is not good: only a new authorisation helps
  } state = State::kReady;
  std::int64_t generation = 0;  // counts the tokens that were saved
  std::string sealed;           // "" = the configured refresh token was not yet spent
  std::chrono::milliseconds expires_in{0};
  std::chrono::milliseconds busy{0};     // > 0: another attempt may spend it for so long
  std::chrono::milliseconds resting{0};  // > 0: no attempt is to be made for so long
  int tries = 0;                         // answers in a row that granted nothing and settled nothing
};

// The account's credential; nothing when this authorisation never had one.
Result<std::optional<Credential>> LoadCredential(pg::Session& session, const CredentialKey& key);

// The right to spend the refresh token of `generation`, for `hold` from now.
struct RenewalClaim {
  std::string renewer;          // the attempt's own random name
  std::int64_t number = 0;      // the attempt's: a later attempt has a greater one
  std::int64_t generation = 0;  // of the tokens when it was claimed
};
// Claims it for `renewer`, and marks the row as spending, durably. Nothing: another attempt has it, or it was
// renewed, lost or set to rest meanwhile; load it again. Who does not hear the answer may ask again with the
// same name: its own claim is known again.
Result<std::optional<RenewalClaim>> ClaimRenewal(pg::Session& session, const CredentialKey& key,
                                                 const std::string& renewer, std::int64_t generation,
                                                 std::chrono::milliseconds hold);

// Ends an attempt that brought no tokens, and has the next one wait for `rest`. Without effect when the claim
// has passed to another attempt, or newer tokens were saved meanwhile. Returns whether it had one.
struct RenewalEnd {
  Credential::State state = Credential::State::kReady;
  int tries = 0;
  std::chrono::milliseconds rest{0};
};
Result<bool> EndRenewal(pg::Session& session, const CredentialKey& key, const RenewalClaim& claim,
                        const RenewalEnd& end);

// Saves an attempt's tokens, durably, as the next generation, and returns its number. Tokens that come late
// are saved too, whoever has the claim by then, unless a later attempt's were saved before. May be asked
// again when its answer was not heard. Errors: kConflict when a later attempt's tokens are there, or the
// account was authorised again meanwhile.
Result<std::int64_t> SaveCredential(pg::Session& session, const CredentialKey& key, const RenewalClaim& claim,
                                    const std::string& sealed, std::chrono::milliseconds lives);

}  // namespace weir::ledger
