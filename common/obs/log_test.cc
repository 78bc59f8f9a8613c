#include "common/obs/log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>
#include <type_traits>

#include "common/obs/log_line.h"

namespace weir {
namespace {

static_assert(!std::is_constructible_v<LogField, std::string_view, Secret>);
static_assert(!std::is_constructible_v<LogField, std::string_view, const Secret&>);

// What `write` puts on stderr.
template <typename Write>
std::string Captured(std::string_view level, std::string_view format, Write write) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(SetupLogging(level, format, "weir-test"));
  write();
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, JsonLinesParseWhateverIsLogged) {
  const std::string text = Captured("info", "json", [] {
    const LogScope job({{"job", 7}, {"task", 1}});
    const LogScope task({{"task", "x\"y\n"}});
    Log(LogLevel::kWarn, "line\nbreak \xFF\x01 \"quoted\" {} %v",
        {{"pages", 3}, {"ratio", 0.5}, {"odd", std::nan("")}, {"ok", true}, {"time", "mine"}});
    Log(LogLevel::kDebug, "not shown");
  });
  ASSERT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  const nlohmann::json line = nlohmann::json::parse(text);
  EXPECT_EQ(line["level"], "warn");
  EXPECT_EQ(line["program"], "weir-test");
  EXPECT_EQ(line["message"], "line\nbreak \xEF\xBF\xBD\x01 \"quoted\" {} %v");
  EXPECT_EQ(line["job"], 7);
  EXPECT_EQ(line["task"], "x\"y\n");
  EXPECT_EQ(line["pages"], 3);
  EXPECT_EQ(line["ratio"], 0.5);
  EXPECT_EQ(line["odd"], "nan");
  EXPECT_EQ(line["ok"], true);
  EXPECT_EQ(line["time_"], "mine");
  EXPECT_EQ(line["time"].get<std::string>().back(), 'Z');
}

TEST(LogTest, TextIsOneLineWithoutColourOffATerminal) {
  const std::string text = Captured("debug", "text", [] {
    Log(LogLevel::kDebug, "two\nlines\x1b[31m", {{"account", "a b"}, {"pages", 3}, {"empty", ""}});
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("debug weir-test: two.lines.[31m account=\"a b\" pages=3 empty=\"\"\n"),
            std::string::npos)
      << text;
}

TEST(LogTest, AutoIsJsonOffATerminal) {
  const std::string text = Captured("info", "auto", [] { Log(LogLevel::kInfo, "hello"); });
  EXPECT_EQ(nlohmann::json::parse(text)["message"], "hello");
}

TEST(LogTest, ErrorsBringTheirParts) {
  const std::string text = Captured("info", "json", [] {
    Error error = MakeError(ErrorClass::kThrottled, "too fast", "wait");
    error.http_status = 429;
    LogError(LogLevel::kError, "page failed", error, {{"page", 4}});
  });
  const nlohmann::json line = nlohmann::json::parse(text);
  EXPECT_EQ(line["class"], ToString(ErrorClass::kThrottled));
  EXPECT_EQ(line["error"], "too fast");
  EXPECT_EQ(line["hint"], "wait");
  EXPECT_EQ(line["http_status"], 429);
  EXPECT_EQ(line["page"], 4);
}

TEST(LogTest, ScopesAreOfTheirThreadAndEnd) {
  const std::string text = Captured("info", "json", [] {
    const LogScope outer({{"job", 1}});
    { const LogScope inner({{"page", 2}}); }
    Log(LogLevel::kInfo, "here");
    std::thread([] { Log(LogLevel::kInfo, "there"); }).join();
  });
  const nlohmann::json here = nlohmann::json::parse(text.substr(0, text.find('\n')));
  const nlohmann::json there = nlohmann::json::parse(text.substr(text.find('\n')));
  EXPECT_EQ(here["job"], 1);
  EXPECT_FALSE(here.contains("page"));
  EXPECT_EQ(there["message"], "there");
  EXPECT_FALSE(there.contains("job"));
}

TEST(LogTest, LongTextIsCut) {
  const std::string text = Captured("info", "json", [] {
    const std::string flood(100'000, 'a');
    Log(LogLevel::kInfo, flood, {{"value", flood}});
  });
  EXPECT_LT(text.size(), 10'000U);
  EXPECT_TRUE(nlohmann::json::accept(text));
}

TEST(LogTest, OffIsSilentAndUnknownWordsAreRefused) {
  EXPECT_EQ(Captured("off", "text", [] { Log(LogLevel::kError, "no"); }), "");
  EXPECT_FALSE(LogEnabled(LogLevel::kError));
  EXPECT_EQ(SetupLogging("loud", "text", "x").error().error_class, ErrorClass::kConfig);
  EXPECT_EQ(SetupLogging("info", "xml", "x").error().error_class, ErrorClass::kConfig);
}

}  // namespace
}  // namespace weir
