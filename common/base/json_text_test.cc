#include "common/base/json_text.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

std::string Json(std::string_view text) {
  std::string out;
  AppendJsonString(out, text);
  return out;
}

TEST(JsonTextTest, EscapesWhatJsonForbids) {
  EXPECT_EQ(Json("a\"b\\c\n\x01"), "\"a\\\"b\\\\c\\n\\u0001\"");
  EXPECT_EQ(Json("Ünï"), "\"Ünï\"");
}

TEST(JsonTextTest, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(Json("a\xFFz"), "\"a\xEF\xBF\xBDz\"");
  EXPECT_EQ(Json("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"") << "a surrogate is not UTF-8";
}

TEST(JsonTextTest, PrintableCutsAtACharactersEdgeAndHidesControlBytes) {
  EXPECT_EQ(Printable("ab\x1b[31m", 100), "ab.[31m");
  EXPECT_EQ(Printable("aü", 2), "a");
}

}  // namespace
}  // namespace weir
