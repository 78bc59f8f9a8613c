#include "common/http/http_message.h"

#include <gtest/gtest.h>

#include "common/http/head_parser.h"
#include "common/http/idle_watch.h"

namespace weir {
namespace {

TEST(HttpMessageTest, ComparesWithoutCase) {
  EXPECT_TRUE(EqualsIgnoreCase("ETag", "etag"));
  EXPECT_FALSE(EqualsIgnoreCase("ETag", "etags"));
  EXPECT_FALSE(EqualsIgnoreCase("@", "`"));
}

TEST(HttpMessageTest, KnowsHtml) {
  const auto html = [](std::string type) {
    return HttpResponseHead{200, {{"content-type", std::move(type)}}}.IsHtml();
  };
  EXPECT_TRUE(html("text/HTML; charset=utf-8"));
  EXPECT_TRUE(html("application/xhtml+xml"));
  EXPECT_FALSE(html("application/json"));
  EXPECT_FALSE(html("text/html-not"));
  EXPECT_FALSE(HttpResponseHead{}.IsHtml());
}

TEST(HttpMessageTest, PercentEncodes) { EXPECT_EQ(PercentEncode("a b/é~"), "a%20b%2F%C3%A9~"); }

TEST(HeadParserTest, JoinsContinuedLinesAndSurvivesNonsense) {
  HeadParser parser(1000);
  for (const char* line :
       {"HTTP/1.1 abc\r\n", "HTTP/1.1 404\r\n", " lost\r\n", "A: b\r\n", "\tc\r\n", "nonsense\r\n"}) {
    EXPECT_EQ(parser.Line(line), false) << line;
  }
  EXPECT_EQ(parser.Line("\r\n"), true);
  EXPECT_EQ(parser.Head().status, 404);
  ASSERT_EQ(parser.Head().headers.size(), 1U);
  EXPECT_EQ(parser.Head().Get("a"), "b c");
  EXPECT_EQ(parser.Line(std::string(2000, 'x')).error().error_class, ErrorClass::kInvalid);  // trailers count
}

TEST(IdleWatchTest, SilenceCountsFromTheLastByte) {
  using std::chrono::seconds;
  IdleWatch watch(seconds(60), seconds(60), 64, seconds(1000));
  EXPECT_EQ(watch.Update(0, seconds(1059)), IdleWatch::State::kAlive);
  EXPECT_EQ(watch.Update(1, seconds(1060)), IdleWatch::State::kAlive);
  watch.Exclude(seconds(500));
  EXPECT_EQ(watch.Update(1, seconds(1619)), IdleWatch::State::kAlive);
  EXPECT_EQ(watch.Update(1, seconds(1620)), IdleWatch::State::kSilent);
}

TEST(IdleWatchTest, SlowIsJudgedOverAWholeWindow) {
  using std::chrono::seconds;
  IdleWatch watch(seconds(60), seconds(60), 64, seconds(0));
  EXPECT_EQ(watch.Update(1, seconds(50)), IdleWatch::State::kAlive);  // the window begins here
  EXPECT_EQ(watch.Update(3841, seconds(109)), IdleWatch::State::kAlive);
  EXPECT_EQ(watch.Update(3842, seconds(110)), IdleWatch::State::kAlive);
  EXPECT_EQ(watch.Update(3843, seconds(169)), IdleWatch::State::kAlive);
  EXPECT_EQ(watch.Update(3844, seconds(170)), IdleWatch::State::kSlow);
}

}  // namespace
}  // namespace weir
