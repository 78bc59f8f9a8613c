#include "common/fetch/page_fetch.h"

#include <utility>

#include "common/base/secret_text.h"
#include "common/http/origin.h"

namespace weir {
namespace {

constexpr int kMaxRedirects = 3;

FetchOptions FetchOptionsOf(const Config& config, const AccountSettings& account) {
  FetchOptions options;
  options.base_url = account.base_url;
  options.user_agent = account.user_agent;
  options.connect_timeout = config.connect_timeout;
  options.idle_timeout = config.idle_timeout;
  options.max_response_bytes = config.max_response_bytes;
  options.ca_file = config.ca_file;
  return options;
}

}  // namespace

Result<void> FetchPage(Fetcher& fetcher, const Config& config, const Source& source,
                       const AccountSettings& account, HttpRequest request, PageAnswer& answer,
                       const AbortCheck& abort, const PageFetchHooks& hooks) {
  const auto secrets = source.SecretHeaders(account.secrets);
  answer.SetSecrets(account.secrets);
  fetcher.SetOptions(FetchOptionsOf(config, account));
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    if (hooks.sends) hooks.sends(request);
    auto head = fetcher.Fetch(request, secrets, answer, abort);
    if (!head) return Fail(WithoutSecrets(head.error(), account.secrets));
    const auto* follow = std::get_if<FollowTo>(&answer.Judged());
    if (follow == nullptr) return {};
    auto target = TargetWithin(account.base_url, follow->location, request.target);
    if (!target) return Fail(target.error());
    const auto name = follow->permanent ? source.RenamedTo(follow->location) : std::nullopt;
    if (name && hooks.renamed) {
      if (auto ok = hooks.renamed(*name); !ok) return ok;
    }
    request.target = std::move(*target);
  }
  return Fail(ErrorClass::kInvalid, "more redirects in a row than any API needs");
}

}  // namespace weir
