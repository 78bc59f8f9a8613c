#include "common/config/text_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace weir {
namespace {

using testing::HasSubstr;

class TextFileTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  Result<std::string> Read(const std::string& content, std::size_t max = 1 << 20) {
    std::ofstream(path_, std::ios::binary) << content;
    return ReadTextFile({path_, "the list", max, "a hint"});
  }
  std::string Refusal(const std::string& content, std::size_t max = 1 << 20) {
    const auto text = Read(content, max);
    if (text) return "read";
    EXPECT_EQ(text.error().error_class, ErrorClass::kConfig);
    EXPECT_EQ(text.error().hint, "a hint");
    EXPECT_THAT(text.error().message, testing::StartsWith("the list " + path_));
    return text.error().message;
  }

  const std::string path_ = testing::TempDir() + "weir_text_file_" + std::to_string(getpid());
};

TEST_F(TextFileTest, AByteOrderMarkIsNoPartOfTheText) {
  EXPECT_EQ(Read("\xEF\xBB\xBF"
                 "anna\r\n")
                .value(),
            "anna\r\n");
  EXPECT_EQ(Read("\xEF\xBB\xBF").value(), "");
  EXPECT_EQ(Read("anna\n\xEF\xBB\xBF").value(), "anna\n\xEF\xBB\xBF") << "only at the beginning is it one";
  EXPECT_EQ(Read("").value(), "");
}

TEST_F(TextFileTest, ALargeOneIsReadWholeAndATooLargeOneRefused) {
  const std::string text(200'000, 'x');
  EXPECT_EQ(Read(text, text.size()).value(), text);
  EXPECT_THAT(Refusal(text, 102'400), HasSubstr("is over 100 KiB"));
  const auto endless = ReadTextFile({"/dev/zero", "the list", 1 << 20, ""});
  ASSERT_FALSE(endless);
  EXPECT_THAT(endless.error().message, HasSubstr("/dev/zero is over 1 MiB"));
}

TEST_F(TextFileTest, WhatIsNoTextIsRefused) {
  EXPECT_THAT(Refusal("\xFF\xFE" + std::string("a\0", 2)), HasSubstr("is UTF-16: save it as UTF-8"));
  EXPECT_THAT(Refusal("\xFE\xFF" + std::string("\0a", 2)), HasSubstr("is UTF-16: save it as UTF-8"));
  EXPECT_THAT(Refusal("a\nb\nc" + std::string("\0", 1)), HasSubstr("line 3 holds a NUL byte"));
}

TEST_F(TextFileTest, AFolderAndAFileThatIsNotThereAreSaid) {
  const auto folder = ReadTextFile({"/tmp", "the list", 10, ""});
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().message, "the list /tmp is a folder, not a file");
  const auto missing = ReadTextFile({"/nonexistent/f", "the list", 10, ""});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "the list /nonexistent/f cannot be read: No such file or directory");
}

}  // namespace
}  // namespace weir
