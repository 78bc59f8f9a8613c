#include "common/access/access_token.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "common/crypto/sealing_key.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

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
  HttpResponseHead head_;
  std::string text_;
};

class LedgerCredentials final : public CredentialStore {
 public:
  explicit LedgerCredentials(const RenewalParts& parts) : parts_(parts) {}

  Result<std::optional<ledger::Credential>> Load(const ledger::CredentialKey& key) override {
    return With<std::optional<ledger::Credential>>(
        [&](pg::Session& session) { return ledger::LoadCredential(session, key); });
  }
  Result<std::optional<ledger::RenewalClaim>> Claim(const ledger::CredentialKey& key,
                                                    const std::string& renewer, std::int64_t generation,
                                                    milliseconds hold) override {
    return With<std::optional<ledger::RenewalClaim>>(
        [&](pg::Session& session) { return ledger::ClaimRenewal(session, key, renewer, generation, hold); });
  }
  Result<bool> End(const ledger::CredentialKey& key, const ledger::RenewalClaim& claim,
                   const ledger::RenewalEnd& end) override {
    return With<bool>([&](pg::Session& session) { return ledger::EndRenewal(session, key, claim, end); });
  }
  Result<std::int64_t> Save(const ledger::CredentialKey& key, const ledger::RenewalClaim& claim,
                            const std::string& sealed, milliseconds lives) override {
    return With<std::int64_t>(
        [&](pg::Session& session) { return ledger::SaveCredential(session, key, claim, sealed, lives); });
  }

 private:
  template <typename T, typename Work>
  Result<T> With(const Work& work) {
    std::optional<Result<T>> result;
    auto had = parts_.with_session([&](pg::Session& session) -> Result<void> {
      result = work(session);
      if (*result) return {};
      // Whoever asks again does so on a connection that works.
      if (result->error().error_class == ErrorClass::kDatabase) session.Reset();
      return Fail(result->error());
    });
    if (!had) return Fail(had.error());
    return std::move(*result);
  }

  const RenewalParts& parts_;
};

TokenAnswer Send(const RenewalParts& parts, const AccountSettings& account, const HttpRequest& request,
                 milliseconds patience) {
  FetchOptions options;
  options.base_url = account.base_url;
  options.user_agent = account.user_agent;
  options.connect_timeout = parts.config->connect_timeout;
  options.idle_timeout = parts.config->idle_timeout;
  options.ca_file = parts.config->ca_file;
  options.max_response_bytes = static_cast<std::int64_t>(kMostAnswer);
  parts.fetcher->SetOptions(options);
  const milliseconds until = parts.clock->Boot() + patience;
  Answer answer;
  // Neither a lost lease nor a shutdown ends it: its answer cannot be had again.
  auto fetched = parts.fetcher->Fetch(request, {}, answer, [&]() -> std::optional<Error> {
    if (parts.clock->Boot() < until) return std::nullopt;
    return MakeError(ErrorClass::kTransient, "no answer in time");
  });
  TokenAnswer out;
  if (!fetched) out.error = fetched.error();
  out.sent = fetched || parts.fetcher->LastStats().sent;
  out.head = std::move(answer.head_);
  out.text = std::move(answer.text_);
  return out;
}

}  // namespace

Result<AccessToken> HaveAccessToken(const RenewalParts& parts, const Source& source,
                                    const AccountSettings& account, std::optional<std::int64_t> refused) {
  auto key = SealingKey::Parse(parts.config->encryption_key);
  if (!key) return Fail(key.error());
  LedgerCredentials store(parts);
  const RenewalSeams seams{parts.clock, &store,
                           [&](const HttpRequest& request, milliseconds patience) {
                             return Send(parts, account, request, patience);
                           },
                           parts.rest};
  return Renewal(seams, source, account, std::move(*key)).Have(refused);
}

}  // namespace weir
