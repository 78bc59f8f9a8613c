#include "common/access/access_token.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "common/base/json_text.h"
#include "common/crypto/sealing_key.h"
#include "common/ledger/credentials.h"
#include "common/obs/log.h"

namespace weir {
namespace {

using ledger::Credential;
using std::chrono::milliseconds;

constexpr milliseconds kTooOld = std::chrono::seconds(60);    // a token that lives no longer is renewed
constexpr milliseconds kPatience = std::chrono::seconds(20);  // for the upstream's answer
// A new token that the database does not take is the only one there is: it is offered again for so long.
constexpr milliseconds kSavePatience = std::chrono::seconds(30);
constexpr milliseconds kSaveEvery{250};
constexpr std::size_t kMostAnswer = 64 << 10;

// A renewal's whole answer; it is small.
class Answer final : public BodySink {
 public:
  Result<bool> OnHead(const HttpResponseHead& head) override {
    head_ = head;
    return true;
  }
  Result<bool> OnBody(std::string_view bytes) override {
    text_.append(bytes.substr(0, kMostAnswer - std::min(kMostAnswer, text_.size())));
    return text_.size() < kMostAnswer;
  }
  const HttpResponseHead& Head() const { return head_; }
  const std::string& Text() const { return text_; }

 private:
  HttpResponseHead head_;
  std::string text_;
};

// One account's renewal. Gives its lock back at its end.
class Renewal {
 public:
  Renewal(const RenewalParts& parts, const Source& source, const AccountSettings& account, SealingKey key)
      : parts_(parts),
        source_(source),
        account_(account),
        key_(std::move(key)),
        configured_(account.secrets.at("refresh_token")),
        seed_(key_.Fingerprint(configured_)),
        place_(source.Info().name + "/" + account.key) {}
  ~Renewal() {
    if (locked_) ledger::UnlockRenewal(*parts_.session, Name(), account_.key);
  }
  Renewal(const Renewal&) = delete;
  Renewal& operator=(const Renewal&) = delete;

  Result<AccessToken> Have(std::optional<std::int64_t> refused) {
    auto stored = Load();
    if (!stored) return Fail(stored.error());
    if (Usable(*stored, refused)) return Opened(**stored);
    auto locked = ledger::LockRenewal(*parts_.session, Name(), account_.key);
    if (!locked) return Fail(locked.error());
    if (!*locked) return Fail(ErrorClass::kStopped, "another process renews the account's access token");
    locked_ = true;
    stored = Load();  // as whoever had the lock left it
    if (!stored) return Fail(stored.error());
    if (Usable(*stored, refused)) return Opened(**stored);
    if (*stored && (*stored)->state != Credential::State::kReady) return GiveUp(**stored);
    return Spend(*stored);
  }

 private:
  const std::string& Name() const { return source_.Info().name; }

  // What came from another authorisation than the configured one is as if it were not there.
  Result<std::optional<Credential>> Load() {
    auto stored = ledger::LoadCredential(*parts_.session, Name(), account_.key);
    if (stored && *stored && (*stored)->seed != seed_) return std::optional<Credential>();
    return stored;
  }

  static bool Usable(const std::optional<Credential>& stored, std::optional<std::int64_t> refused) {
    if (!stored || stored->state != Credential::State::kReady || stored->sealed.empty()) return false;
    return refused ? stored->generation > *refused : stored->expires_in > kTooOld;
  }

  Result<std::pair<Secret, Secret>> Tokens(const Credential& stored) const {
    auto plain = key_.Open(stored.sealed, place_);
    if (!plain) return Fail(plain.error());
    const std::string& text = plain->Reveal();
    const auto between = std::min(text.find('\n'), text.size());
    return std::pair(Secret(text.substr(0, between)),
                     Secret(text.substr(std::min(between + 1, text.size()))));
  }

  Result<AccessToken> Opened(const Credential& stored) const {
    auto tokens = Tokens(stored);
    if (!tokens) return Fail(tokens.error());
    return AccessToken{std::move(tokens->first), stored.generation};
  }

  tl::unexpected<Error> Lost(std::string_view why, int status = 0) const {
    Error e =
        MakeError(ErrorClass::kAuth, fmt::format("account {}: {}", Printable(account_.account.name, 64), why),
                  "authorise the account again and put the new refresh token into weir.yaml, then: weir "
                  "replay --class auth");
    e.http_status = status;
    return Fail(std::move(e));
  }

  Result<void> Mark(Credential::State state) {
    return ledger::MarkCredential(*parts_.session, Name(), account_.key, seed_, state);
  }

  // We hold the lock, so whoever was spending has lost its session: it is dead, and its answer with it, or it
  // cannot reach the database and still wants to say what it was answered.
  Result<AccessToken> GiveUp(const Credential& stored) {
    if (stored.state == Credential::State::kSpending) {
      if (stored.age < kPatience + kSavePatience)
        return Fail(ErrorClass::kStopped,
                    "another process may still have a new access token for the account");
      if (auto ok = Mark(Credential::State::kLost); !ok) return Fail(ok.error());
    }
    return Lost("its refresh token was spent, and the answer was lost or refused");
  }

  Result<AccessToken> Spend(const std::optional<Credential>& stored) {
    Secret refresh = configured_;
    if (stored && !stored->sealed.empty()) {
      auto tokens = Tokens(*stored);
      if (!tokens) return Fail(tokens.error());
      refresh = std::move(tokens->second);
    }
    auto request = source_.RenewRequest(account_.secrets, refresh);
    if (!request) return Fail(request.error());
    request->fresh_connection = true;
    if (auto ok = Mark(Credential::State::kSpending); !ok) return Fail(ok.error());
    Answer answer;
    auto fetched = Send(*request, answer);
    if (!fetched && !parts_.fetcher->LastStats().sent) return Unspent(fetched.error());
    if (!fetched)
      return Forget(fmt::format("the answer of its renewal was lost ({})", fetched.error().message), 0);
    return Take(answer);
  }

  Result<HttpResponseHead> Send(const HttpRequest& request, Answer& answer) {
    FetchOptions options;
    options.base_url = account_.base_url;
    options.user_agent = account_.user_agent;
    options.connect_timeout = parts_.config->connect_timeout;
    options.idle_timeout = parts_.config->idle_timeout;
    options.ca_file = parts_.config->ca_file;
    options.max_response_bytes = static_cast<std::int64_t>(kMostAnswer);
    parts_.fetcher->SetOptions(options);
    const milliseconds until = parts_.clock->Boot() + kPatience;
    // Neither a lost lease nor a shutdown ends it: its answer cannot be had again.
    return parts_.fetcher->Fetch(request, {}, answer, [&]() -> std::optional<Error> {
      if (parts_.clock->Boot() < until) return std::nullopt;
      return MakeError(ErrorClass::kTransient, "no answer in time");
    });
  }

  Result<AccessToken> Take(const Answer& answer) {
    const int status = answer.Head().status;
    // These say that the request was not looked at.
    if (status == 429 || status == 503) {
      Error e = MakeError(status == 429 ? ErrorClass::kThrottled : ErrorClass::kTransient,
                          fmt::format("HTTP {}: the access token could not be renewed yet", status));
      e.http_status = status;
      e.retry_after = ParseRetryAfter(answer.Head().Get("Retry-After"),
                                      AnsweredAt(answer.Head(), parts_.clock->UnixMillis()));
      return Unspent(std::move(e));
    }
    if (status >= 400 && status < 500) {
      return Forget(fmt::format("HTTP {}: its refresh token or client is refused", status), status);
    }
    auto grant = source_.ReadGrant(answer.Head(), answer.Text());
    if (!grant) return Forget("the answer of its renewal holds no tokens", status);
    auto sealed =
        key_.Seal(Secret(grant->access_token.Reveal() + "\n" + grant->refresh_token.Reveal()), place_);
    if (!sealed) return Fail(sealed.error());
    auto saved = Save(*sealed, grant->lives);
    if (!saved) return Fail(saved.error());
    Log(LogLevel::kInfo, "an access token was renewed", {{"account", Printable(account_.account.name, 64)}});
    return AccessToken{std::move(grant->access_token), *saved};
  }

  // A spent token's successor must not be lost to a database that restarts.
  Result<std::int64_t> Save(const std::string& sealed, milliseconds lives) {
    const milliseconds until = parts_.clock->Boot() + kSavePatience;
    for (;;) {
      auto saved = ledger::SaveCredential(*parts_.session, Name(), account_.key, seed_, sealed, lives);
      if (saved || saved.error().error_class != ErrorClass::kDatabase || parts_.clock->Boot() >= until)
        return saved;
      parts_.session->Reset();
      parts_.rest(kSaveEvery);
    }
  }

  Result<AccessToken> Unspent(Error error) {
    if (auto ok = Mark(Credential::State::kReady); !ok) return Fail(ok.error());
    return Fail(std::move(error));
  }

  Result<AccessToken> Forget(const std::string& why, int status) {
    if (auto ok = Mark(Credential::State::kLost); !ok) return Fail(ok.error());
    return Lost(why, status);
  }

  const RenewalParts& parts_;
  const Source& source_;
  const AccountSettings& account_;
  const SealingKey key_;
  const Secret& configured_;
  const std::string seed_, place_;
  bool locked_ = false;
};

}  // namespace

Result<AccessToken> HaveAccessToken(const RenewalParts& parts, const Source& source,
                                    const AccountSettings& account, std::optional<std::int64_t> refused) {
  auto key = SealingKey::Parse(parts.config->encryption_key);
  if (!key) return Fail(key.error());
  return Renewal(parts, source, account, std::move(*key)).Have(refused);
}

}  // namespace weir
