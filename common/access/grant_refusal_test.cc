#include "common/access/grant_refusal.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

std::optional<GrantRefusal> Read(int status, std::string_view document) {
  HttpResponseHead head;
  head.status = status;
  return ReadGrantRefusal(head, document);
}

TEST(GrantRefusal, InvalidGrantIsAboutTheRefreshToken) {
  const auto refusal =
      Read(400, R"({"error":"invalid_grant","error_description":"This refresh token is invalid"})");
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->of, GrantRefusal::Of::kToken);
  EXPECT_EQ(refusal->code, "invalid_grant");
  EXPECT_EQ(refusal->description, "This refresh token is invalid");
  EXPECT_TRUE(Read(401, R"({"error_uri":"x","error":"invalid_grant"})"));
}

TEST(GrantRefusal, TheOtherErrorsOfTheRfcAreAboutTheClientOrTheRequest) {
  for (const std::string code : {"invalid_client", "unauthorized_client", "unsupported_grant_type",
                                 "invalid_request", "invalid_scope"}) {
    const auto refusal = Read(code == "invalid_client" ? 401 : 400, R"({"error":")" + code + "\"}");
    ASSERT_TRUE(refusal) << code;
    EXPECT_EQ(refusal->of, GrantRefusal::Of::kClient) << code;
    EXPECT_EQ(refusal->description, "");
  }
}

TEST(GrantRefusal, WhatIsNoErrorOfTheRfcTellsNothing) {
  for (const char* document :
       {"", "<html><h1>403 Forbidden</h1></html>", "invalid_grant", R"("invalid_grant")",
        R"(["invalid_grant"])", R"({"error":"invalid_gra)", R"({"error":{"code":"invalid_grant"}})",
        R"({"error":null})", "{}",
        R"({"message":"API endpoint has been removed","error":"Bad Request","statusCode":400})",
        R"({"error":"invalid_grant "})"}) {
    EXPECT_FALSE(Read(400, document)) << document;
  }
}

TEST(GrantRefusal, AByteOrderMarkBeforeItIsPassedOver) {
  const auto refusal = Read(400, "\xEF\xBB\xBF{\"error\":\"invalid_grant\"}");
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->of, GrantRefusal::Of::kToken);
}

TEST(GrantRefusal, OnlyAClientErrorIsARefusal) {
  for (const int status : {200, 204, 302, 500, 502, 504})
    EXPECT_FALSE(Read(status, R"({"error":"invalid_grant"})")) << status;
}

TEST(GrantRefusal, TheUpstreamsWordsAreShortAndPrintable) {
  const auto refusal = Read(
      400, R"({"error":"invalid_grant","error_description":"\u001b[31m)" + std::string(5000, 'x') + "\"}");
  ASSERT_TRUE(refusal);
  EXPECT_LE(refusal->description.size(), 210u);
  EXPECT_EQ(refusal->description.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace weir
