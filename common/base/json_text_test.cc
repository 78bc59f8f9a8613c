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

// What a terminal obeys, with its neighbours that it shows.
struct Sign {
  const char* text;
  const char* escape;  // null = it is shown
};
constexpr Sign kSigns[] = {
    {"\x7f", "\\u007f"},         {"\xc2\x80", "\\u0080"},       {"\xc2\x9b", "\\u009b"},
    {"\xc2\x9d", "\\u009d"},     {"\xc2\x9f", "\\u009f"},       {"\xd8\x9c", "\\u061c"},
    {"\xe2\x80\x8e", "\\u200e"}, {"\xe2\x80\x8f", "\\u200f"},   {"\xe2\x80\xa8", "\\u2028"},
    {"\xe2\x80\xa9", "\\u2029"}, {"\xe2\x80\xaa", "\\u202a"},   {"\xe2\x80\xae", "\\u202e"},
    {"\xe2\x81\xa6", "\\u2066"}, {"\xe2\x81\xa9", "\\u2069"},   {"\xc2\xa0", nullptr},
    {"\xd8\x9b", nullptr},       {"\xe2\x80\x8d", nullptr},     {"\xe2\x80\x90", nullptr},
    {"\xe2\x80\xa7", nullptr},   {"\xe2\x80\xaf", nullptr},     {"\xe2\x81\xa5", nullptr},
    {"\xe2\x81\xaa", nullptr},   {"\xf0\x9f\x98\x80", nullptr}, {"\xc3\x9b", nullptr},
};

TEST(JsonTextTest, WhatATerminalObeysIsNotShown) {
  for (const Sign& sign : kSigns) {
    const std::string text = std::string("a") + sign.text + "z";
    const std::string shown = sign.escape == nullptr ? text : std::string("a") + sign.escape + "z";
    EXPECT_EQ(Printable(text), sign.escape == nullptr ? text : "a.z") << shown;
    EXPECT_EQ(Json(text), '"' + shown + '"');
    EXPECT_EQ(ShowableJson('"' + text + '"'), '"' + shown + '"');
  }
  EXPECT_EQ(Printable("\x9b[31m"), ".[31m") << "a lone C1 byte is no UTF-8";
  EXPECT_EQ(Printable(std::string_view("a\0b", 3)), "a.b");
}

TEST(JsonTextTest, AShowableTextIsTheSameJson) {
  EXPECT_EQ(ShowableJson("{\n\t\"a\": \"Ünï \\n\"\r\n}"), "{\n\t\"a\": \"Ünï \\n\"\r\n}");
  EXPECT_EQ(ShowableJson("\"\xff\""), "\"\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace weir
