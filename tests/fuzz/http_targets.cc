// What an upstream's head may do to us: the head itself, rate limits, Retry-After, dates.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <variant>

#include "common/http/head_parser.h"
#include "common/sources/http_date.h"
#include "common/sources/rate_limit.h"
#include "common/sources/source.h"
#include "tests/fuzz/targets.h"

namespace weir::fuzz {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kNowMs = 1'790'000'000'000;
constexpr std::size_t kMaxHead = 2'048;
constexpr milliseconds kYear{366LL * 86'400'000};

std::string CheckWindows(const HttpResponseHead& head) {
  const auto windows = ParseRateLimits(head, kNowMs);
  if (windows.size() > kMaxRateWindows) return "too many rate windows";
  for (const RateWindow& w : windows) {
    if (!w.remaining || *w.remaining < 0) return "a rate window that does not say what remains";
    if (w.limit && *w.limit <= 0) return "a rate limit that is not positive";
    if (w.reset && (w.reset->count() <= 0 || *w.reset > kYear)) return "a reset out of bounds";
    if (w.window && (w.window->count() <= 0 || *w.window > kYear)) return "a window out of bounds";
  }
  return {};
}

std::string CheckWait(std::optional<milliseconds> wait) {
  if (wait && (wait->count() <= 0 || *wait > 12 * kYear)) return "a Retry-After out of bounds";
  return {};
}

std::string CheckVerdict(const HttpResponseHead& head, std::string_view body) {
  const Verdict verdict = JudgeHttp(head, body, kNowMs);
  if (std::holds_alternative<ReadBody>(verdict) && (head.status < 200 || head.status > 299)) {
    return "a body is read although the status is no success";
  }
  if (const auto* follow = std::get_if<FollowTo>(&verdict); follow && follow->location.empty()) {
    return "a redirect to nowhere is followed";
  }
  if (const auto* error = std::get_if<Error>(&verdict)) {
    if (error->body_start.size() > 2'048) return "an error quotes too much of the body";
    return CheckWait(error->retry_after);
  }
  return {};
}

}  // namespace

std::string RunHead(std::string_view input) {
  HeadParser parser(kMaxHead);
  std::string_view rest = input;
  while (!rest.empty() && !parser.Done()) {
    const auto end = rest.find('\n');
    const std::string line(rest.substr(0, end == std::string_view::npos ? rest.size() : end + 1));
    rest.remove_prefix(line.size());
    const auto done = parser.Line(line);
    if (!done) return parser.Bytes() > kMaxHead ? "" : "a head is refused below its bound";
    if (*done != parser.Done()) return "Line and Done disagree";
  }
  const HttpResponseHead& head = parser.Head();
  std::size_t bytes = 0;
  for (const HttpHeader& header : head.headers) bytes += header.name.size() + header.value.size();
  if (bytes > kMaxHead + head.headers.size()) return "more headers than came";
  if (parser.Done() && (head.status < 200 || head.status > 999)) return "a final head with no final status";
  if (auto why = CheckWindows(head); !why.empty()) return why;
  if (auto why = CheckWait(ParseRetryAfter(head.Get("Retry-After"), kNowMs)); !why.empty()) return why;
  (void)AnsweredAt(head, kNowMs);
  return parser.Done() ? CheckVerdict(head, rest) : "";
}

std::string RunHttpDate(std::string_view input) {
  if (auto why = CheckWait(ParseRetryAfter(input, kNowMs)); !why.empty()) return why;
  const auto ms = ParseHttpDate(input, kNowMs);
  if (!ms) return {};
  if (*ms % 1000 != 0) return "a date with parts of a second";
  const std::time_t seconds = *ms / 1000;
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "a date that no calendar has";
  const int year = parts.tm_year + 1900;
  if (year == 10'000 && parts.tm_yday == 0) return {};  // the leap second that ends 9999
  if (year < 0 || year > 9999) return "a year of more than four digits";
  char text[64];
  if (std::strftime(text, sizeof text, "%a, %d %b ", &parts) == 0) return "strftime failed";
  std::string date = text;
  std::snprintf(text, sizeof text, "%04d %02d:%02d:%02d GMT", year, parts.tm_hour, parts.tm_min,
                parts.tm_sec);
  date += text;
  const auto again = ParseHttpDate(date, kNowMs);
  if (again != ms) return "a date that is another when written as RFC 9110 wants it: " + date;
  return {};
}

}  // namespace weir::fuzz
