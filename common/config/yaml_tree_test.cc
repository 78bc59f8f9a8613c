#include "common/config/yaml_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(YamlTree, KeepsLinesAndOrder) {
  const auto root = ParseYaml("a: 1\nb:\n  - x\n  - \"~\"\nc: ~\n", "f");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->members.size(), 3u);
  EXPECT_EQ(root->Find("a")->scalar, "1");
  EXPECT_EQ(root->Find("b")->items[1].scalar, "~");  // quoted: a text
  EXPECT_EQ(root->Find("b")->items[1].line, 4);
  EXPECT_EQ(root->Find("c")->kind, YamlNode::Kind::kNull);
  EXPECT_EQ(ParseYaml("", "f")->kind, YamlNode::Kind::kNull);
  EXPECT_EQ(ParseYaml("# only a comment\n", "f")->kind, YamlNode::Kind::kNull);
}

std::string Nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

TEST(YamlTree, RefusesWhatIsNoConfiguration) {
  std::string bomb = "a: &a [x, x]\n";
  for (char c = 'b'; c < 'z'; ++c)
    bomb += std::string(1, c) + ": &" + c + " [*" + char(c - 1) + ", *" + char(c - 1) + "]\n";
  std::string many = "a:\n";
  for (int i = 0; i < 500'000; ++i) many += " - 1\n";
  const std::pair<std::string, std::string> cases[] = {
      {"a: 1\nb: 2\na: 3\n", "f:3: \"a\" is given twice"},
      {"a: [1\n", "f:"},
      {"a: b: c\n", "f:1: not YAML"},
      {bomb, "f:1: anchors and aliases"},
      {"a: *x\n", "f:1:"},
      {Nested(17), "nested too deeply"},
      {Nested(100'000), "f:1:"},
      {many, "too many values"},
      {"? [a]\n: 1\n", "a key must be a plain word"},
      {"a: 1\n---\nb: 1\n", "more than one document"},
  };
  for (const auto& [text, message] : cases) {
    const auto result = ParseYaml(text, "f");
    ASSERT_FALSE(result) << text.substr(0, 40);
    EXPECT_EQ(result.error().error_class, ErrorClass::kConfig);
    EXPECT_THAT(result.error().message, HasSubstr(message));
    EXPECT_THAT(result.error().message, StartsWith("f:"));
  }
  EXPECT_TRUE(ParseYaml(Nested(16), "f"));
}

}  // namespace
}  // namespace weir
