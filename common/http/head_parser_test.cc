#include "common/http/head_parser.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace weir {
namespace {

HttpResponseHead Parse(std::initializer_list<std::string_view> lines) {
  HeadParser parser(64 << 10);
  EXPECT_EQ(parser.Line("HTTP/1.1 200 OK\r\n"), false);
  for (const std::string_view line : lines) EXPECT_EQ(parser.Line(line), false) << line;
  EXPECT_EQ(parser.Line("\r\n"), true);
  return parser.Head();
}

TEST(HeadParser, AHeaderThatIsNoTextIsLeftOut) {
  const HttpResponseHead head = Parse({"ETag: \"caf\xe9\"\r\n",
                                       "X-Control: a\x01"
                                       "b\r\n",
                                       "X-Delete: a\x7f"
                                       "b\r\n",
                                       "X-Cut: \xc3\r\n",
                                       "X-B\xe9"
                                       "d: 1\r\n",
                                       "X Y: 1\r\n", ": 1\r\n", "Server: caf\xc3\xa9\r\n", "X-Tab: a\tb\r\n",
                                       "Last-Modified: today\r\n"});
  ASSERT_EQ(head.headers.size(), 3U);
  EXPECT_EQ(head.Get("ETag"), "");
  EXPECT_EQ(head.Get("Server"), "caf\xc3\xa9");
  EXPECT_EQ(head.Get("X-Tab"), "a\tb");
  EXPECT_EQ(head.Get("Last-Modified"), "today");
}

TEST(HeadParser, AValueIsTextOnlyIfTheLinesThatContinueItAre) {
  const HttpResponseHead head = Parse({"X-A: 1\r\n", "\t2\r\n", "X-B: 1\r\n", " \xff\r\n"});
  EXPECT_EQ(head.Get("X-A"), "1 2");
  EXPECT_EQ(head.Get("X-B"), "");
}

TEST(HeadParser, HeadersAreBoundedInNumber) {
  HeadParser parser(64 << 10);
  ASSERT_TRUE(parser.Line("HTTP/1.1 200 OK\r\n"));
  for (std::size_t i = 0; i < HeadParser::kMaxHeaders; ++i) ASSERT_TRUE(parser.Line("a:1\r\n")) << i;
  const auto more = parser.Line("a:1\r\n");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().error_class, ErrorClass::kInvalid);
}

TEST(HeadParser, HeadersAreBoundedInBytes) {
  HeadParser parser(100);
  ASSERT_TRUE(parser.Line("HTTP/1.1 200 OK\r\n"));
  EXPECT_FALSE(parser.Line("a: " + std::string(100, 'x') + "\r\n"));
}

}  // namespace
}  // namespace weir
