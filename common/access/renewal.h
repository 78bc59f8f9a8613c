#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/access/grant_refusal.h"
#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/config/account_settings.h"
#include "common/crypto/sealing_key.h"
#include "common/ledger/credentials.h"
#include "common/sources/source.h"

namespace weir {

struct AccessToken {
  Secret token;
  std::int64_t generation = 0;  // counts the account's renewals
};

// The row of an account's credential. No call keeps a database session when it returns. As the functions of
// common/ledger/credentials.h.
class CredentialStore {
 public:
  virtual ~CredentialStore() = default;
  virtual Result<std::optional<ledger::Credential>> Load(const ledger::CredentialKey& key) = 0;
  virtual Result<std::optional<ledger::RenewalClaim>> Claim(const ledger::CredentialKey& key,
                                                            const std::string& renewer,
                                                            std::int64_t generation,
                                                            std::chrono::milliseconds hold) = 0;
  virtual Result<bool> End(const ledger::CredentialKey& key, const ledger::RenewalClaim& claim,
                           const ledger::RenewalEnd& end) = 0;
  virtual Result<std::int64_t> Save(const ledger::CredentialKey& key, const ledger::RenewalClaim& claim,
                                    const std::string& sealed, std::chrono::milliseconds lives) = 0;
};

// What came of a renewal's request.
struct TokenAnswer {
  std::optional<Error> error;  // no answer was had
  bool sent = true;            // the upstream may have seen some of the request
  HttpResponseHead head;
  std::string text;
};

// The upstream's token endpoint: sends one request and waits for its answer, at most `patience`.
using AskToken = std::function<TokenAnswer(const HttpRequest&, std::chrono::milliseconds patience)>;

struct RenewalSeams {
  const Clock* clock = nullptr;
  CredentialStore* store = nullptr;
  AskToken ask;
  std::function<void(std::chrono::milliseconds)> rest;  // until a database that is away is asked again
};

// One account's renewal: the states that common/ledger/credentials.h names, and what leads from one to
// another. Lives as long as the call; one thread.
//
//   no row, ready ──claim──► spending ──tokens──────────────────► ready, next generation
//      ▲                        │ ├──not sent, 429, 503, client──► ready, after a rest
//      │                        │ ├──invalid_grant──────────────► lost
//      │                        │ └──any other answer, or none──► unknown, after a growing rest
//      └── the claim runs out ──┘                                   └──claim──► spending, the same token
//
// An unknown answer may have cost the refresh token; then asking with it again is answered by invalid_grant,
// and nothing is lost that was not lost before. If it did not cost it, the account goes on.
class Renewal {
 public:
  Renewal(const RenewalSeams& seams, const Source& source, const AccountSettings& account, SealingKey key);

  // As HaveAccessToken.
  Result<AccessToken> Have(std::optional<std::int64_t> refused);

 private:
  using Stored = std::optional<ledger::Credential>;
  // Nothing: somebody else has changed the row; look at it again.
  using Attempt = std::optional<Result<AccessToken>>;

  Attempt Look(std::optional<std::int64_t> refused);
  Attempt Spend(const Stored& stored);
  Attempt Take(const ledger::RenewalClaim& claim, int tries, const TokenAnswer& answer);
  Attempt Keep(const ledger::RenewalClaim& claim, TokenGrant grant);
  Attempt Refused(const ledger::RenewalClaim& claim, int tries, const GrantRefusal& refusal, int status);
  Attempt Unspent(const ledger::RenewalClaim& claim, int tries, Error error);
  Attempt Unknown(const ledger::RenewalClaim& claim, int tries, const std::string& what, int status);
  Attempt End(const ledger::RenewalClaim& claim, const ledger::RenewalEnd& end, Error error);

  Result<std::pair<Secret, Secret>> Tokens(const ledger::Credential& stored) const;
  Result<AccessToken> Opened(const ledger::Credential& stored) const;
  Result<std::optional<ledger::RenewalClaim>> Claim(std::int64_t generation,
                                                    std::chrono::milliseconds& asked);
  Result<std::int64_t> Save(const ledger::RenewalClaim& claim, const std::string& sealed,
                            std::chrono::milliseconds lives);
  Error Auth(std::string_view why, std::string hint, int status) const;
  std::string Words(const GrantRefusal& refusal) const;
  std::string Who() const;

  const RenewalSeams& seams_;
  const Source& source_;
  const AccountSettings& account_;
  const SealingKey key_;
  const Secret& configured_;
  Secret sent_;  // the refresh token of the last request
  const ledger::CredentialKey row_;
  const std::string place_;  // what the tokens are sealed for
};

}  // namespace weir
