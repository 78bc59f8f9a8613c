#include "common/sources/highlevel/renewal.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "common/sources/field_columns.h"
#include "common/sources/record_check.h"

namespace weir::highlevel {
namespace {

constexpr std::int64_t kDaySeconds = 86'400;
// A shorter life would have every task renew its token, and spend a refresh token for it. A token that really
// ends earlier is refused, and renewed then.
constexpr std::int64_t kShortestLifeSeconds = 600;

// A token that can stand in a header.
std::optional<Secret> TokenOf(const JsonField& field) {
  std::string scratch;
  const auto text = AsText(field, scratch);
  const bool fit = text && !text->empty() &&
                   std::all_of(text->begin(), text->end(), [](char c) { return c > 0x20 && c < 0x7F; });
  return fit ? std::optional(Secret(std::string(*text))) : std::nullopt;
}

}  // namespace

Result<HttpRequest> RenewRequest(const std::map<std::string, Secret>& secrets, const Secret& refresh_token) {
  HttpRequest request;
  request.method = "POST";
  request.target = "/oauth/token";
  request.headers = {{"Accept", "application/json"}, {"Content-Type", "application/x-www-form-urlencoded"}};
  request.body = "grant_type=refresh_token&refresh_token=" + PercentEncode(refresh_token.Reveal());
  for (const char* name : {"client_id", "client_secret"}) {
    const auto secret = secrets.find(name);
    if (secret == secrets.end()) {
      return Fail(ErrorClass::kConfig, std::string("a refresh_token needs the secret ") + name + " too",
                  "secrets: {client_id: env:…, client_secret: env:…, refresh_token: env:…}");
    }
    request.body += std::string("&") + name + "=" + PercentEncode(secret->second.Reveal());
  }
  return request;
}

Result<TokenGrant> ReadGrant(const HttpResponseHead& head, std::string_view document) {
  static const FieldTree kTree({"access_token", "refresh_token", "expires_in"});
  document = WithoutByteOrderMark(document);
  std::string padded(document);
  padded.append(RecordMapper::kRecordPadding, '\0');
  RecordCheck check(kTree);
  // Whatever a proxy makes of the status: the tokens are there, and the one that was sent is spent.
  const bool good = head.status >= 200 && head.status < 300;
  if (good && check.Whole({padded.data(), document.size()})) {
    auto access = TokenOf(check.Field(0));
    auto refresh = TokenOf(check.Field(1));
    const std::int64_t lives = std::clamp<std::int64_t>(AsInt(check.Field(2)).value_or(kDaySeconds),
                                                        kShortestLifeSeconds, 365 * kDaySeconds);
    if (access && refresh) {
      return TokenGrant{std::move(*access), std::move(*refresh), std::chrono::seconds(lives)};
    }
  }
  // Never with the document: it may hold half of a grant.
  return Fail(ErrorClass::kInvalid, "the answer grants no access token and refresh token");
}

}  // namespace weir::highlevel
