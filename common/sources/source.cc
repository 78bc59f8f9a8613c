#include "common/sources/source.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "common/base/json_text.h"
#include "common/sources/http_date.h"
#include "common/sources/upstream_sentence.h"

namespace weir {
namespace {

using std::chrono::milliseconds;

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// An error page of a proxy or filter, also when it does not say that it is HTML.
bool LooksHtml(const HttpResponseHead& head, std::string_view body_start) {
  if (head.IsHtml()) return true;
  const auto first = body_start.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && body_start[first] == '<';
}

Error HttpError(ErrorClass c, int status, std::string_view what, std::string_view body_start,
                std::string hint = {}) {
  Error e = MakeError(c, fmt::format("HTTP {}: {}", status, what), std::move(hint));
  if (const std::string said = UpstreamSentence(body_start); !said.empty()) {
    e.message += fmt::format(": \"{}\"", said);
  }
  e.http_status = status;
  e.body_start = Printable(body_start);
  return e;
}

std::string AuthHint(int status, std::string_view said) {
  if (SaysARightIsMissing(said)) {
    return "the account's token lacks a right: give it the one that is named; a new token with the same "
           "rights "
           "is refused too";
  }
  return status == 401 ? "check the account's token in weir.yaml"
                       : "check the account's token and what it may do";
}

Error Unproven(const HttpResponseHead& head, std::string_view what, std::string_view body_start,
               std::int64_t now_ms) {
  Error e = HttpError(ErrorClass::kTransient, head.status, what, body_start);
  e.retry_after = ParseRetryAfter(head.Get("Retry-After"), now_ms);
  return e;
}

Verdict JudgeRedirect(const HttpResponseHead& head, std::string_view body_start) {
  const std::string_view location = head.Get("Location");
  const bool known = head.status == 301 || head.status == 302 || head.status == 307 || head.status == 308;
  if (!known || location.empty()) {
    return HttpError(ErrorClass::kInvalid, head.status, "a redirect that cannot be followed", body_start);
  }
  return FollowTo{std::string(location), head.status == 301 || head.status == 308};
}

Verdict JudgeClientError(const HttpResponseHead& head, std::string_view body_start, std::int64_t now_ms) {
  const int status = head.status;
  if (status == 429) {
    Error e = HttpError(ErrorClass::kThrottled, status, "too many requests", body_start);
    e.retry_after = ParseRetryAfter(head.Get("Retry-After"), now_ms);
    return e;
  }
  if (status == 408 || status == 425) {
    return HttpError(ErrorClass::kTransient, status, "the upstream gave up waiting", body_start);
  }
  if ((status == 403 || status == 404) && LooksHtml(head, body_start)) {
    return HttpError(ErrorClass::kBlocked, status, "a web page instead of the API's answer", body_start,
                     "the upstream may refuse this User-Agent: set sources.<name>.user_agent to one that "
                     "names you and a contact");
  }
  if (status == 401 || status == 403) {
    return HttpError(ErrorClass::kAuth, status, status == 401 ? "not authenticated" : "not allowed",
                     body_start, AuthHint(status, UpstreamSentence(body_start)));
  }
  if (status == 404) return HttpError(ErrorClass::kGone, status, "not found", body_start);
  if (status == 410) return HttpError(ErrorClass::kGone, status, "gone for good", body_start);
  return HttpError(ErrorClass::kInvalid, status, "the upstream refused the request", body_start);
}

}  // namespace

Result<HttpRequest> Source::RenewRequest(const std::map<std::string, Secret>&, const Secret&) const {
  return Fail(ErrorClass::kInternal, Info().name + " renews no tokens");
}

Result<TokenGrant> Source::ReadGrant(const HttpResponseHead&, std::string_view) const {
  return Fail(ErrorClass::kInternal, Info().name + " renews no tokens");
}

void TimesSeen::Add(std::int64_t ms) {
  last_but_one = last;
  last = ms;
  if (ms == 0) return;
  rising = rising && (told == 0 || ms >= before_);
  falling = falling && (told == 0 || ms <= before_);
  before_ = ms;
  least = told == 0 ? ms : std::min(least, ms);
  most = told == 0 ? ms : std::max(most, ms);
  if (asked && (ms < asked->lo || ms >= asked->hi)) ++outside;
  ++told;
}

bool TimesSeen::Within(TimeRange range) const { return told == 0 || (least >= range.lo && most < range.hi); }

Verdict JudgeHttp(const HttpResponseHead& head, std::string_view body_start, std::int64_t now_ms,
                  JudgeOptions options) {
  const int status = head.status;
  if (status >= 200 && status < 300) {
    const bool whole = status == 200 || (status == 201 && options.created_is_whole);
    if (!whole) return Unproven(head, "not an answer that is known to be whole", body_start, now_ms);
    if (!head.IsHtml()) return ReadBody{};
    Error e = HttpError(ErrorClass::kTransient, status, "a web page instead of data", body_start,
                        "check sources.<name>.base_url; a proxy or login page may stand before the upstream");
    e.retry_after = ParseRetryAfter(head.Get("Retry-After"), now_ms);
    return e;
  }
  if (status == 304) {
    if (options.asked_conditionally) return NotModified{};
    return Unproven(head, "nothing has changed, it says, and that was not asked", body_start, now_ms);
  }
  if (status >= 300 && status < 400) return JudgeRedirect(head, body_start);
  if (status >= 400 && status < 500) return JudgeClientError(head, body_start, now_ms);
  if (status >= 500 && status < 600) {
    Error e = HttpError(ErrorClass::kTransient, status, "the upstream failed", body_start);
    e.retry_after = ParseRetryAfter(head.Get("Retry-After"), now_ms);
    return e;
  }
  return HttpError(ErrorClass::kInvalid, status, "an answer that HTTP does not know", body_start);
}

Error NotAskedForChanges() {
  Error e = MakeError(ErrorClass::kTransient,
                      "HTTP 304: \"not modified\" for a request that did not ask for changes",
                      "a cache before the upstream may answer in its place");
  e.http_status = 304;
  return e;
}

std::optional<milliseconds> ParseRetryAfter(std::string_view value, std::int64_t now_ms) {
  constexpr std::int64_t kMaxSeconds = 10LL * 365 * 86'400;  // any more is clamped anyway
  value = Trim(value);
  if (value.empty()) return std::nullopt;
  if (value.find_first_not_of("0123456789") == std::string_view::npos) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    static_cast<void>(end);
    if (error == std::errc::result_out_of_range) seconds = kMaxSeconds;
    if (seconds <= 0) return std::nullopt;
    return milliseconds(std::min(seconds, kMaxSeconds) * 1000);
  }
  const auto date = ParseHttpDate(value, now_ms);
  if (!date || *date <= now_ms) return std::nullopt;
  return milliseconds(std::min(*date - now_ms, kMaxSeconds * 1000));
}

std::int64_t AnsweredAt(const HttpResponseHead& head, std::int64_t our_ms) {
  constexpr std::int64_t kAlikeMs = 2'000;
  const auto date = ParseHttpDate(head.Get("Date"), our_ms);
  return date && (*date < our_ms - kAlikeMs || *date > our_ms + kAlikeMs) ? *date : our_ms;
}

std::optional<std::int64_t> Source::TotalIn(const TaskContext&, std::string_view) const {
  return std::nullopt;
}

std::optional<std::int64_t> Source::EstimateIn(const TaskContext&, std::string_view) const {
  return std::nullopt;
}

PlanEstimate Source::EstimatePlan(const TaskContext&, std::string_view,
                                  const std::vector<NewTask>& tasks) const {
  const auto count = static_cast<std::int64_t>(tasks.size());
  return {count, std::nullopt, std::chrono::seconds(count)};
}

std::int64_t MadeAt(const HttpResponseHead& head, std::int64_t our_ms) {
  const auto date = ParseHttpDate(head.Get("Date"), our_ms);
  const auto age = ParseRetryAfter(head.Get("Age"), our_ms);  // seconds, too
  return std::min(our_ms, date.value_or(our_ms)) - age.value_or(milliseconds(0)).count();
}

std::string_view WithoutByteOrderMark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

const StreamInfo* FindStream(const Source& source, std::string_view stream) {
  for (const StreamInfo& info : source.Info().streams) {
    if (info.name == stream) return &info;
  }
  return nullptr;
}

}  // namespace weir
