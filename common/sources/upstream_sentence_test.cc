#include "common/sources/upstream_sentence.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace weir {
namespace {

TEST(UpstreamSentence, IsWhatTheUpstreamSaysOfAnError) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"error":"No such token"})", "No such token"},
      {R"({"code":0,"message":"User \"x\" not found."})", R"(User "x" not found.)"},
      {R"({"statusCode":422,"message":["first","second"],"error":"Unprocessable Entity"})", "first"},
      {R"({"error":"invalid_grant","error_description":"it was used"})", "it was used"},
      {R"({"error":{"code":7,"message":"caf\u00e9"}})", "caf\xc3\xa9"},
      {R"({"title":"Forbidden","status":403})", "Forbidden"},
      {R"({"message":null,"detail":" late "})", "late"},
      {"\xEF\xBB\xBF {\"error\":\"marked\"}", "marked"},
      {"Internal Server Error\nmore", "Internal Server Error"},
      {R"({"error":"cut off here","more":[1,)", "cut off here"},
      {R"({"error":"cut o)", ""},
      {R"({"ok":true})", ""},
      {"<html>no</html>", ""},
      {"", ""},
  };
  for (const auto& [body, sentence] : cases) {
    EXPECT_EQ(UpstreamSentence(body), sentence) << body;
  }
}

TEST(UpstreamSentence, IsBoundedAndSafeToShow) {
  EXPECT_EQ(UpstreamSentence(R"({"error":")" + std::string(1000, 'x') + R"("})"), std::string(200, 'x'));
  EXPECT_EQ(UpstreamSentence("{\"error\":\"a\\u001b[31m\\nb\"}"), "a.[31m.b");
  EXPECT_EQ(UpstreamSentence(std::string(300, 'x')), "") << "a text that is no sentence";
  EXPECT_EQ(UpstreamSentence(R"({"a":)" + std::string(100'000, '[')), "");
  EXPECT_EQ(UpstreamSentence(R"({"message":["\\)"), "");
}

TEST(UpstreamSentence, AnErrorInPlaceOfData) {
  EXPECT_EQ(ErrorIn(R"({"id":"x","error":"timeout"})"), "timeout");
  EXPECT_EQ(ErrorIn(R"({"error":{"message":"busy"}})"), "busy");
  EXPECT_EQ(ErrorIn(R"({"error":true,"message":"busy"})"), "busy");
  for (const char* json : {R"({"error":null})", R"({"error":""})", R"({"error":{}})", R"({"error":false})",
                           R"({"error":[]})", R"({"a":{"error":"x"}})", R"({"name":"error"})", "[]", ""}) {
    EXPECT_EQ(ErrorIn(json), std::nullopt) << json;
  }
}

TEST(UpstreamSentence, AMissingRightIsNoBadToken) {
  for (const char* said : {"Missing scope: board:play", "The token is not authorized for this scope.",
                           "This route is not yet supported by the IAM Service", "no Permission"}) {
    EXPECT_TRUE(SaysARightIsMissing(said)) << said;
  }
  for (const char* said : {"No such token", "Invalid token: access token is invalid", ""}) {
    EXPECT_FALSE(SaysARightIsMissing(said)) << said;
  }
}

}  // namespace
}  // namespace weir
