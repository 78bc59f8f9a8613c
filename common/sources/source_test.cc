#include "common/sources/source.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/base/time_text.h"
#include "common/sources/http_date.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t kNow = 784'111'757'000;  // Sun, 06 Nov 1994 08:49:17 GMT

HttpResponseHead Head(int status, std::vector<HttpHeader> headers = {}) {
  return {status, std::move(headers)};
}

const Error& ErrorOf(const Verdict& verdict) {
  static const Error none = MakeError(ErrorClass::kInternal, "not an error");
  const auto* e = std::get_if<Error>(&verdict);
  EXPECT_NE(e, nullptr);
  return e == nullptr ? none : *e;
}

ErrorClass ClassOf(int status, std::string_view body = "", std::vector<HttpHeader> headers = {}) {
  return ErrorOf(JudgeHttp(Head(status, std::move(headers)), body, kNow)).error_class;
}

TEST(JudgeHttp, Classes) {
  EXPECT_TRUE(std::holds_alternative<ReadBody>(
      JudgeHttp(Head(200, {{"Content-Type", "application/json"}}), "", kNow)));
  EXPECT_TRUE(
      std::holds_alternative<NotModified>(JudgeHttp(Head(304), "", kNow, {.asked_conditionally = true})));
  EXPECT_EQ(ClassOf(200, "", {{"Content-Type", "text/html; charset=utf-8"}}), ErrorClass::kTransient);
  EXPECT_EQ(ClassOf(401), ErrorClass::kAuth);
  EXPECT_EQ(ClassOf(403, "{\"error\":\"no\"}"), ErrorClass::kAuth);
  EXPECT_EQ(ClassOf(404, "{}"), ErrorClass::kGone);
  EXPECT_EQ(ClassOf(410, "<html>"), ErrorClass::kGone);
  EXPECT_EQ(ClassOf(403, "", {{"content-type", "text/html"}}), ErrorClass::kBlocked);
  EXPECT_EQ(ClassOf(404, "\n<!DOCTYPE html>"), ErrorClass::kBlocked);
  for (const int status : {408, 425, 500, 502, 503, 504, 521})
    EXPECT_EQ(ClassOf(status), ErrorClass::kTransient);
  for (const int status : {400, 405, 422, 102, 600}) EXPECT_EQ(ClassOf(status), ErrorClass::kInvalid);
  for (const int status : {300, 303, 305}) {
    EXPECT_EQ(ClassOf(status, "", {{"Location", "/x"}}), ErrorClass::kInvalid);
  }
  EXPECT_EQ(ClassOf(301), ErrorClass::kInvalid);  // without Location
}

// data_path.md, invariant 9.
TEST(JudgeHttp, NothingCountsAsReadWithoutProofThatAllWasAnswered) {
  for (const int status : {201, 202, 203, 204, 205, 206, 207, 208, 226, 299, 304}) {
    EXPECT_EQ(ClassOf(status), ErrorClass::kTransient) << status;
  }
  EXPECT_EQ(ErrorOf(JudgeHttp(Head(202, {{"Retry-After", "7"}}), "", kNow)).retry_after, seconds(7));
  EXPECT_EQ(ErrorOf(JudgeHttp(Head(206), "", kNow)).http_status, 206);
  EXPECT_TRUE(std::holds_alternative<ReadBody>(JudgeHttp(Head(201), "", kNow, {.created_is_whole = true})));
  EXPECT_EQ(ErrorOf(JudgeHttp(Head(202), "", kNow, {.asked_conditionally = true, .created_is_whole = true}))
                .error_class,
            ErrorClass::kTransient);
}

TEST(JudgeHttp, ARefusalIsToldInTheUpstreamsWords) {
  const Verdict scope = JudgeHttp(Head(403), R"({"error":"Missing scope: board:play"})", kNow);
  EXPECT_EQ(ErrorOf(scope).message, "HTTP 403: not allowed: \"Missing scope: board:play\"");
  EXPECT_NE(ErrorOf(scope).hint.find("lacks a right"), std::string::npos);
  const Verdict iam =
      JudgeHttp(Head(401), R"({"message":"The token is not authorized for this scope."})", kNow);
  EXPECT_EQ(ErrorOf(iam).hint, ErrorOf(scope).hint) << "a new token would be refused too";
  const Verdict token = JudgeHttp(Head(401), R"({"error":"No such token"})", kNow);
  EXPECT_EQ(ErrorOf(token).message, "HTTP 401: not authenticated: \"No such token\"");
  EXPECT_NE(ErrorOf(token).hint.find("token in weir.yaml"), std::string::npos);
  EXPECT_EQ(ErrorOf(JudgeHttp(Head(401), "", kNow)).message, "HTTP 401: not authenticated");
  EXPECT_EQ(ErrorOf(JudgeHttp(Head(422), R"({"message":["no"]})", kNow)).message,
            "HTTP 422: the upstream refused the request: \"no\"");
}

TEST(TimesSeen, NotesTimesAndWhetherTheyRiseOrFall) {
  TimesSeen order;
  EXPECT_TRUE(order.Within({5, 5})) << "nothing came";
  for (const std::int64_t at : {20, 0, 20, 30}) order.Add(at);
  EXPECT_TRUE(order.rising);
  EXPECT_FALSE(order.falling);
  EXPECT_TRUE(order.Within({20, 31}));
  EXPECT_FALSE(order.Within({20, 30}));
  EXPECT_FALSE(order.Within({21, 31}));
  order.Add(-10);
  EXPECT_FALSE(order.rising);
  EXPECT_EQ(order.least, -10);
  TimesSeen down;
  for (const std::int64_t at : {30, 30, 20}) down.Add(at);
  EXPECT_TRUE(down.falling);
  EXPECT_FALSE(down.rising);
}

TEST(JudgeHttp, Redirects) {
  for (const int status : {301, 302, 307, 308}) {
    const Verdict verdict = JudgeHttp(Head(status, {{"location", "/there"}}), "", kNow);
    const auto* follow = std::get_if<FollowTo>(&verdict);
    ASSERT_NE(follow, nullptr) << status;
    EXPECT_EQ(follow->location, "/there");
    EXPECT_EQ(follow->permanent, status == 301 || status == 308);
  }
}

TEST(JudgeHttp, ErrorsTellWhatIsKnown) {
  const Verdict verdict = JudgeHttp(Head(429, {{"Retry-After", "7"}}), "{\"error\":\"slow\x01\"}", kNow);
  const Error& e = ErrorOf(verdict);
  EXPECT_EQ(e.error_class, ErrorClass::kThrottled);
  EXPECT_EQ(e.http_status, 429);
  EXPECT_EQ(e.retry_after, seconds(7));
  EXPECT_EQ(e.body_start, "{\"error\":\"slow.\"}");
  EXPECT_EQ(ErrorOf(JudgeHttp(Head(503, {{"Retry-After", "9"}}), "", kNow)).retry_after, seconds(9));
  EXPECT_FALSE(ErrorOf(JudgeHttp(Head(403), "<html>", kNow)).hint.empty());
}

// A machine's clock may be days off; an answer's own dates agree with each other.
TEST(AnsweredAt, IsTheAnswersDateUnlessOursIsAsGood) {
  const auto at = [](std::string date, std::int64_t ours) {
    return AnsweredAt(Head(429, {{"Date", std::move(date)}}), ours);
  };
  constexpr char kDate[] = "Sun, 06 Nov 1994 08:49:17 GMT";
  constexpr std::int64_t kTwoDays = 2 * 86'400'000;
  EXPECT_EQ(at(kDate, kNow + kTwoDays), kNow);
  EXPECT_EQ(at(kDate, kNow - kTwoDays), kNow);
  EXPECT_EQ(at(kDate, kNow + 1'700), kNow + 1'700);
  EXPECT_EQ(at("yesterday", kNow + 5), kNow + 5);
  EXPECT_EQ(AnsweredAt(Head(429), kNow + 5), kNow + 5);
}

TEST(RetryAfter, SecondsAndAllDates) {
  EXPECT_EQ(ParseRetryAfter("120", kNow), seconds(120));
  EXPECT_EQ(ParseRetryAfter(" 5 ", kNow), seconds(5));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", kNow), seconds(20));
  EXPECT_EQ(ParseRetryAfter("Sunday, 06-Nov-94 08:49:37 GMT", kNow), seconds(20));
  EXPECT_EQ(ParseRetryAfter("Sun Nov  6 08:49:37 1994", kNow), seconds(20));
  EXPECT_EQ(ParseRetryAfter("Wed Nov 16 08:49:17 1994", kNow), std::chrono::hours(240));
}

TEST(RetryAfter, NothingForWhatIsNone) {
  for (const char* value :
       {"", " ", "0", "-5", "+5", "1.5", "soon", "12 s", "0x10", "1e3",
        "Sun, 06 Nov 1994 08:49:17 GMT",  // now
        "Sun, 06 Nov 1994 08:49:00 GMT", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1995 08:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMTx",
        "Sun Nov  6 08:49:37 19945"}) {
    EXPECT_EQ(ParseRetryAfter(value, kNow), std::nullopt) << value;
  }
}

TEST(RetryAfter, AbsurdIsMuchButFinite) {
  const auto absurd = ParseRetryAfter("99999999999999999999999999", kNow);
  ASSERT_TRUE(absurd);
  EXPECT_GT(*absurd, std::chrono::hours(1));
  EXPECT_EQ(ParseRetryAfter("9223372036854775807", kNow), absurd);
  EXPECT_EQ(ParseRetryAfter("Fri, 31 Dec 9999 23:59:59 GMT", kNow), absurd);
}

TEST(HttpDate, TwoDigitYearIsNeverFarAhead) {
  const std::int64_t now = *ParseTime("2026-11-22");
  EXPECT_EQ(ParseHttpDate("Monday, 23-Nov-26 00:00:00 GMT", now), *ParseTime("2026-11-23"));
  EXPECT_EQ(ParseHttpDate("Saturday, 06-Nov-99 00:00:00 GMT", now), *ParseTime("1999-11-06"));
}

TEST(Registry, KnowsItsSources) {
  for (const char* name : {"lichess", "chesscom"}) {
    const Source* source = FindSource(name);
    ASSERT_NE(source, nullptr);
    EXPECT_EQ(source->Info().name, name);
    ASSERT_NE(FindStream(*source, "games"), nullptr);
    EXPECT_EQ(FindStream(*source, "games")->table.schema, name);
    EXPECT_EQ(FindStream(*source, "nothing"), nullptr);
  }
  const Source* highlevel = FindSource("highlevel");
  ASSERT_NE(highlevel, nullptr);
  EXPECT_NE(FindStream(*highlevel, "opportunities"), nullptr);
  EXPECT_NE(FindStream(*highlevel, "pipelines"), nullptr);
  EXPECT_EQ(FindSource("Lichess"), nullptr);
  EXPECT_EQ(AllSources().size(), 3U);
}

// A sweep bounds its scope by this column.
TEST(Registry, ATablesTimeIsOneOfItsColumns) {
  for (const Source* source : AllSources()) {
    for (const StreamInfo& stream : source->Info().streams) {
      if (stream.table.time_column.empty()) continue;
      const auto is_it = [&](const Column& c) {
        return c.name == stream.table.time_column && c.type == "timestamptz";
      };
      EXPECT_TRUE(std::any_of(stream.table.columns.begin(), stream.table.columns.end(), is_it))
          << stream.name;
    }
  }
}

}  // namespace
}  // namespace weir
