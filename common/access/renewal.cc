#include "common/access/renewal.h"

#include <fmt/core.h>

#include <algorithm>
#include <random>
#include <utility>

#include "common/base/json_text.h"
#include "common/obs/log.h"

namespace weir {
namespace {

using ledger::Credential;
using ledger::RenewalClaim;
using std::chrono::milliseconds;

constexpr milliseconds kTooOld = std::chrono::seconds(60);    // a token that lives no longer is renewed
constexpr milliseconds kPatience = std::chrono::seconds(20);  // for the upstream's answer
// A claim lasts until its answer was had and written down. An attempt that was stopped for long does not send
// any more: by then another one may have spent the token.
constexpr milliseconds kHold = std::chrono::seconds(30);
constexpr milliseconds kLatestSend = kHold - kPatience;
// A claim whose COMMIT was not answered is asked for again for so long.
constexpr milliseconds kClaimPatience = std::chrono::seconds(5);
// A new token that the database does not take is the only one there is: it is offered again for so long.
constexpr milliseconds kSavePatience = std::chrono::seconds(30);
constexpr milliseconds kAskAgain{250};
constexpr milliseconds kLookAgain = std::chrono::seconds(1);  // at another attempt
constexpr int kMostLooks = 4;
// So many answers in a row that tell nothing end the account's tasks; the token may be tried again later.
constexpr int kMostTries = 8;

milliseconds RestAfter(int tries) {
  constexpr milliseconds kLongest = std::chrono::minutes(5);
  return std::min(kLongest, milliseconds(1'000 << std::clamp(tries - 1, 0, 20)));
}

std::string RandomName() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

bool HoldsPartOf(std::string_view text, std::string_view secret) {
  constexpr std::size_t kTelling = 8;  // so many characters of a secret in a row are not shown
  if (secret.empty()) return false;
  const std::size_t run = std::min(secret.size(), kTelling);
  for (std::size_t at = 0; at + run <= secret.size(); ++at) {
    if (text.find(secret.substr(at, run)) != std::string_view::npos) return true;
  }
  return false;
}

// The text holds the secret or a part of it, as it is or as the form carried it.
bool Repeats(std::string_view text, const Secret& secret) {
  return HoldsPartOf(text, secret.Reveal()) || HoldsPartOf(text, PercentEncode(secret.Reveal()));
}

Error Stopped(std::string message, milliseconds wait) {
  Error e = MakeError(ErrorClass::kStopped, std::move(message));
  e.retry_after = wait;
  return e;
}

}  // namespace

Renewal::Renewal(const RenewalSeams& seams, const Source& source, const AccountSettings& account,
                 SealingKey key)
    : seams_(seams),
      source_(source),
      account_(account),
      key_(std::move(key)),
      configured_(account.secrets.at("refresh_token")),
      row_{source.Info().name, account.key, key_.Fingerprint(configured_)},
      place_(source.Info().name + "/" + account.key) {}

Result<AccessToken> Renewal::Have(std::optional<std::int64_t> refused) {
  for (int looks = 0; looks < kMostLooks; ++looks) {
    if (auto done = Look(refused)) return std::move(*done);
  }
  return Fail(Stopped("other processes renew the account's access token again and again", kLookAgain));
}

Renewal::Attempt Renewal::Look(std::optional<std::int64_t> refused) {
  auto stored = seams_.store->Load(row_);
  if (!stored) return Fail(stored.error());
  if (!*stored) return Spend(*stored);
  const Credential& found = **stored;
  const bool fresh = refused ? found.generation > *refused : found.expires_in > kTooOld;
  if (found.state == Credential::State::kReady && !found.sealed.empty() && fresh) return Opened(found);
  if (found.state == Credential::State::kLost) {
    return Fail(Auth("the upstream refuses its refresh token",
                     "authorise the account again and put the new refresh token into weir.yaml, then: weir "
                     "replay --class auth",
                     0));
  }
  if (found.busy > milliseconds(0)) {
    return Fail(
        Stopped("another process renews the account's access token", std::min(found.busy, kLookAgain)));
  }
  if (found.resting > milliseconds(0)) {
    return Fail(Stopped("the account's access token could not be renewed yet, and is asked for again later",
                        found.resting));
  }
  return Spend(*stored);
}

Result<std::pair<Secret, Secret>> Renewal::Tokens(const Credential& stored) const {
  auto plain = key_.Open(stored.sealed, place_);
  if (!plain) return Fail(plain.error());
  const std::string& text = plain->Reveal();
  const auto between = std::min(text.find('\n'), text.size());
  return std::pair(Secret(text.substr(0, between)), Secret(text.substr(std::min(between + 1, text.size()))));
}

Result<AccessToken> Renewal::Opened(const Credential& stored) const {
  auto tokens = Tokens(stored);
  if (!tokens) return Fail(tokens.error());
  return AccessToken{std::move(tokens->first), stored.generation};
}

// The answer to a COMMIT may be lost, and the claim be there nevertheless: asked again with its own name, it
// is known. `asked`: when the answer that came was asked for.
Result<std::optional<RenewalClaim>> Renewal::Claim(std::int64_t generation, milliseconds& asked) {
  const std::string name = RandomName();
  const milliseconds until = seams_.clock->Boot() + kClaimPatience;
  for (;;) {
    asked = seams_.clock->Boot();
    auto claim = seams_.store->Claim(row_, name, generation, kHold);
    if (claim || claim.error().error_class != ErrorClass::kDatabase || seams_.clock->Boot() >= until)
      return claim;
    seams_.rest(kAskAgain);
  }
}

Renewal::Attempt Renewal::Spend(const Stored& stored) {
  Secret refresh = configured_;
  if (stored && !stored->sealed.empty()) {
    auto tokens = Tokens(*stored);
    if (!tokens) return Fail(tokens.error());
    refresh = std::move(tokens->second);
  }
  auto request = source_.RenewRequest(account_.secrets, refresh);
  if (!request) return Fail(request.error());
  sent_ = std::move(refresh);
  request->fresh_connection = true;
  milliseconds asked{0};
  auto claim = Claim(stored ? stored->generation : 0, asked);
  if (!claim) return Fail(claim.error());
  if (!*claim) return std::nullopt;
  const int tries = stored ? stored->tries : 0;
  if (seams_.clock->Boot() - asked > kLatestSend) {
    return End(**claim, {Credential::State::kReady, tries, milliseconds(0)},
               Stopped("the renewal of the access token was held up before it began", kLookAgain));
  }
  return Take(**claim, tries, seams_.ask(*request, kPatience));
}

Renewal::Attempt Renewal::Take(const RenewalClaim& claim, int tries, const TokenAnswer& answer) {
  if (answer.error && !answer.sent) return Unspent(claim, tries, *answer.error);
  if (answer.error) return Unknown(claim, tries, answer.error->message, answer.error->http_status);
  const int status = answer.head.status;
  // These say that the request was not looked at.
  if (status == 429 || status == 503) {
    Error e = MakeError(status == 429 ? ErrorClass::kThrottled : ErrorClass::kTransient,
                        fmt::format("HTTP {}: the access token could not be renewed yet", status));
    e.http_status = status;
    e.retry_after =
        ParseRetryAfter(answer.head.Get("Retry-After"), AnsweredAt(answer.head, seams_.clock->UnixMillis()));
    return Unspent(claim, tries, std::move(e));
  }
  if (auto grant = source_.ReadGrant(answer.head, answer.text)) return Keep(claim, std::move(*grant));
  if (const auto refusal = ReadGrantRefusal(answer.head, answer.text))
    return Refused(claim, tries, *refusal, status);
  return Unknown(claim, tries, fmt::format("HTTP {}, neither tokens nor an OAuth error", status), status);
}

Renewal::Attempt Renewal::Keep(const RenewalClaim& claim, TokenGrant grant) {
  auto sealed = key_.Seal(Secret(grant.access_token.Reveal() + "\n" + grant.refresh_token.Reveal()), place_);
  if (!sealed) return Fail(sealed.error());
  auto saved = Save(claim, *sealed, grant.lives);
  // A later attempt's tokens are there: these are of no more use.
  if (!saved && saved.error().error_class == ErrorClass::kConflict) return std::nullopt;
  if (!saved) return Fail(saved.error());
  Log(LogLevel::kInfo, "an access token was renewed", {{"account", Printable(account_.account.name, 64)}});
  return AccessToken{std::move(grant.access_token), *saved};
}

// A spent token's successor must not be lost to a database that restarts.
Result<std::int64_t> Renewal::Save(const RenewalClaim& claim, const std::string& sealed, milliseconds lives) {
  const milliseconds until = seams_.clock->Boot() + kSavePatience;
  for (;;) {
    auto saved = seams_.store->Save(row_, claim, sealed, lives);
    if (saved || saved.error().error_class != ErrorClass::kDatabase || seams_.clock->Boot() >= until)
      return saved;
    seams_.rest(kAskAgain);
  }
}

Renewal::Attempt Renewal::Refused(const RenewalClaim& claim, int tries, const GrantRefusal& refusal,
                                  int status) {
  if (refusal.of == GrantRefusal::Of::kToken) {
    return End(claim, {Credential::State::kLost, tries, milliseconds(0)},
               Auth(fmt::format("HTTP {}: its refresh token is refused ({})", status, Words(refusal)),
                    "authorise the account again and put the new refresh token into weir.yaml, then: weir "
                    "replay --class auth",
                    status));
  }
  return End(
      claim, {Credential::State::kReady, tries + 1, RestAfter(tries + 1)},
      Auth(fmt::format("HTTP {}: the renewal of its access token is refused ({}); the refresh token "
                       "was not spent",
                       status, Words(refusal)),
           "compare client_id, client_secret and refresh_token in weir.yaml with the app's, then: weir "
           "replay --class auth",
           status));
}

Renewal::Attempt Renewal::Unspent(const RenewalClaim& claim, int tries, Error error) {
  const milliseconds rest = error.retry_after.value_or(RestAfter(tries + 1));
  error.retry_after = rest;
  return End(claim,
             {Credential::State::kReady, tries + 1, std::min<milliseconds>(rest, std::chrono::hours(1))},
             std::move(error));
}

Renewal::Attempt Renewal::Unknown(const RenewalClaim& claim, int tries, const std::string& what, int status) {
  const milliseconds rest = RestAfter(tries + 1);
  const std::string why =
      fmt::format("whether its access token was renewed is not known ({})", Printable(what, 300));
  Error error =
      tries + 1 >= kMostTries
          ? Auth(why,
                 "see what stands between weir and the upstream (a proxy, a filter, an outage); "
                 "then: weir replay --class auth",
                 status)
          : MakeError(ErrorClass::kTransient, Who() + why, "it is asked for again with the same token");
  error.http_status = status;
  error.retry_after = rest;
  return End(claim, {Credential::State::kUnknown, tries + 1, rest}, std::move(error));
}

// `error` is what the attempt comes to, unless the row tells otherwise.
Renewal::Attempt Renewal::End(const RenewalClaim& claim, const ledger::RenewalEnd& end, Error error) {
  auto ended = seams_.store->End(row_, claim, end);
  if (!ended) return Fail(ended.error());
  // Another attempt has the claim, or its tokens are there.
  if (!*ended) return std::nullopt;
  return Fail(std::move(error));
}

std::string Renewal::Who() const { return fmt::format("account {}: ", Printable(account_.account.name, 64)); }

Error Renewal::Auth(std::string_view why, std::string hint, int status) const {
  Error e = MakeError(ErrorClass::kAuth, Who() + std::string(why), std::move(hint));
  e.http_status = status;
  return e;
}

// The upstream's own words, unless they repeat what was sent: the refresh token that was spent is not the
// configured one any more once it was renewed.
std::string Renewal::Words(const GrantRefusal& refusal) const {
  const bool told = Repeats(refusal.description, sent_) ||
                    std::any_of(account_.secrets.begin(), account_.secrets.end(), [&](const auto& secret) {
                      return Repeats(refusal.description, secret.second);
                    });
  if (refusal.description.empty() || told) return refusal.code;
  return refusal.code + ": " + refusal.description;
}

}  // namespace weir
