#include "common/sources/rate_limit.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t kNow = 1'790'000'000'000;  // 2026-09-21T14:13:20Z

std::vector<RateWindow> Parse(std::vector<HttpHeader> headers) {
  HttpResponseHead head;
  head.status = 200;
  head.headers = std::move(headers);
  return ParseRateLimits(head, kNow);
}

RateWindow Window(std::optional<std::int64_t> limit, std::int64_t remaining,
                  std::optional<milliseconds> reset, std::optional<milliseconds> window) {
  return {limit, remaining, reset, window};
}

TEST(RateLimitTest, TheDraftsOfRateLimit) {
  // Draft 10: named policies.
  EXPECT_EQ(Parse({{"RateLimit-Policy", R"("burst";q=100;w=60,"daily";q=1000;w=86400;pk=:dGVzdA==:)"},
                   {"RateLimit", R"("burst";r=50;t=30, "daily";r=999;t=80000)"}}),
            (std::vector{Window(100, 50, seconds(30), seconds(60)),
                         Window(1000, 999, seconds(80'000), seconds(86'400))}));
  // Drafts 7 and 8: one dictionary.
  EXPECT_EQ(Parse({{"RateLimit", "limit=100, remaining=50, reset=5"}, {"RateLimit-Policy", "100;w=10"}}),
            (std::vector{Window(100, 50, seconds(5), seconds(10))}));
  // Drafts up to 6: three headers.
  EXPECT_EQ(Parse({{"RateLimit-Limit", "10, 10;w=1, 1000;w=3600"},
                   {"RateLimit-Remaining", "9"},
                   {"RateLimit-Reset", "1"}}),
            (std::vector{Window(10, 9, seconds(1), seconds(1))}));
}

TEST(RateLimitTest, HighLevelTellsTwoWindows) {
  EXPECT_EQ(Parse({{"X-RateLimit-Limit-Daily", "200000"},
                   {"X-RateLimit-Daily-Remaining", "199000"},
                   {"X-RateLimit-Interval-Milliseconds", "10000"},
                   {"X-RateLimit-Max", "100"},
                   {"X-RateLimit-Remaining", "98"}}),
            (std::vector{Window(100, 98, std::nullopt, seconds(10)),
                         Window(200'000, 199'000, std::nullopt, seconds(86'400))}));
}

TEST(RateLimitTest, OtherSpellings) {
  const auto one = [](const char* name, const char* value) {
    const auto windows = Parse({{"x-ratelimit-remaining", "0"}, {name, value}});
    return windows.size() == 1 ? windows[0] : RateWindow{};
  };
  EXPECT_EQ(one("X-RateLimit-Reset", "30").reset, seconds(30));
  EXPECT_EQ(one("X-RateLimit-Reset", "1790000030").reset, seconds(30));
  EXPECT_EQ(one("X-RateLimit-Reset", "1790000030000").reset, seconds(30));
  EXPECT_EQ(one("X-RateLimit-Reset", "Mon, 21 Sep 2026 14:13:50 GMT").reset, seconds(30));
  EXPECT_EQ(one("X-RateLimit-Reset-After", "1.25").reset, milliseconds(1'250));
  EXPECT_EQ(one("x-rate-limit-limit", "15").limit, 15);
  EXPECT_EQ(Parse({{"X-RateLimit-Limit-Minute", "20"}, {"X-RateLimit-Remaining-Minute", "3"}}),
            (std::vector{Window(20, 3, std::nullopt, seconds(60))}));
}

TEST(RateLimitTest, NothingTold) {
  EXPECT_TRUE(Parse({}).empty());
  EXPECT_TRUE(Parse({{"X-RateLimit-Limit", "100"}, {"X-RateLimit-Reset", "5"}}).empty()) << "what remains?";
  EXPECT_TRUE(Parse({{"X-RateLimit-Bucket-Remaining", "1"}}).empty()) << "somebody else's word";
  EXPECT_TRUE(
      Parse({{"RateLimit-Policy", R"("b";q=9;qu="content-bytes";w=1)"}, {"RateLimit", R"("b";r=1;t=1)"}})
          .empty())
      << "bytes, not requests";
}

TEST(RateLimitTest, HostileValuesAreAsIfTheyWereNotThere) {
  for (const char* value : {"", " ", "-1", "1e9", "0x10", "NaN", "five", "1 2", "\xff\xfe", "--", ";;;=;,,\"",
                            "\"\\", "=1", "+5"}) {
    EXPECT_TRUE(Parse({{"X-RateLimit-Remaining", value}}).empty()) << value;
    EXPECT_EQ(Parse({{"X-RateLimit-Remaining", "7"},
                     {"X-RateLimit-Limit", value},
                     {"X-RateLimit-Reset", value},
                     {"X-RateLimit-Reset-After", value},
                     {"X-RateLimit-Interval-Milliseconds", value}}),
              (std::vector{Window(std::nullopt, 7, std::nullopt, std::nullopt)}))
        << value;
    for (const RateWindow& window : Parse({{"RateLimit", value}, {"RateLimit-Policy", value}})) {
      EXPECT_FALSE(window.reset || window.window) << value;
    }
  }
  EXPECT_EQ(Parse({{"X-RateLimit-Remaining", "1"}, {"X-RateLimit-Reset", "0"}})[0].reset, std::nullopt);
  EXPECT_EQ(Parse({{"X-RateLimit-Remaining", "1"}, {"X-RateLimit-Reset", "1790000000"}})[0].reset,
            std::nullopt)
      << "it has passed";
}

TEST(RateLimitTest, NumbersPastAllBounds) {
  const std::string huge(5'000, '9');
  const auto windows = Parse({{"X-RateLimit-Remaining", huge},
                              {"X-RateLimit-Limit", huge},
                              {"X-RateLimit-Reset", huge},
                              {"X-RateLimit-Interval-Milliseconds", huge}});
  ASSERT_EQ(windows.size(), 1u);
  EXPECT_EQ(windows[0].remaining, 1'000'000'000);
  EXPECT_LE(*windows[0].reset, std::chrono::days(366));
  EXPECT_LE(*windows[0].window, std::chrono::days(366));
  EXPECT_LE(*Parse({{"X-RateLimit-Remaining", "1"}, {"X-RateLimit-Reset-After", huge}})[0].reset,
            std::chrono::days(366));
}

TEST(RateLimitTest, TheirNumberIsBounded) {
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "\"p" + std::to_string(i) + "\";r=1;t=1,";
  std::vector<HttpHeader> headers;
  for (int i = 0; i < 50; ++i) headers.push_back({"RateLimit", many});
  EXPECT_EQ(Parse(headers).size(), kMaxRateWindows);
}

// Such a number overflowed the limiter, and ended the worker.
TEST(RateLimitTest, WhatNoApiAllowsIsNoLimit) {
  for (const char* most : {"99999999999999999999", "9223372036854775807", "0"}) {
    HttpResponseHead head;
    head.status = 200;
    head.headers = {{"X-RateLimit-Limit-Minute", most},
                    {"X-RateLimit-Remaining-Minute", "99999999999999999999"}};
    for (const RateWindow& window : ParseRateLimits(head, 1'700'000'000'000)) {
      EXPECT_FALSE(window.limit) << most;
      EXPECT_LE(window.remaining.value_or(0), 1'000'000'000) << most;
    }
  }
}

}  // namespace
}  // namespace weir
